"""A small convolutional network that tells diseased from healthy images."""

from torch import Tensor, nn

WIDTHS = (1, 2, 4, 4)  # of the levels, times the width of the first


class Classifier(nn.Module):
    """Convolution, batch norm and ReLU four times, halved between; one logit of the disease.

    Parameters
    ----------
    dimensions : {2, 3}
        Of the images.
    base_filters : int
        Width of the first convolution.
    """

    def __init__(self, dimensions: int, base_filters: int) -> None:
        super().__init__()
        layers, inputs = [], 1
        for level, width in enumerate(WIDTHS):
            outputs = base_filters * width
            layers += [getattr(nn, f"MaxPool{dimensions}d")(2)] if level else []
            layers += [
                getattr(nn, f"Conv{dimensions}d")(inputs, outputs, kernel_size=3, padding=1),
                getattr(nn, f"BatchNorm{dimensions}d")(outputs),
                nn.ReLU(),
            ]
            inputs = outputs
        self.features = nn.Sequential(*layers)
        self.last = nn.Linear(inputs, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N,) of images (N, 1, *spatial)."""
        return self.last(self.features(images).flatten(2).mean(2)).squeeze(1)

"""The generator of an adversarial method: a U-Net, and what the method makes of its output."""

from torch import Tensor

from pipeline.method.adversarial import Adversarial
from pipeline.method.interface import Explanation
from pipeline.method.registry import find_method
from pipeline.method.training.settings import Variant
from pipeline.method.unet import UNet
from pipeline.stage.errors import InputError


class Generator(UNet):
    """Explains diseased images as its method says.

    Parameters
    ----------
    dimensions : {2, 3}
        Of the images.
    method : str
        An adversarial method (`pipeline.method.registry`).
    base_filters, poolings : int
        As of `UNet`.
    flow_scale : float
        Factor on the network's output that gives voxels, of a method that deforms.
    variant : {"plain", "original", "half"}
        ``original`` is VA-GAN's own code, which the paper ran on ADNI: another U-Net
        (`pipeline.method.unet.UNet`), and a bounded modified image. ``half`` integrates the
        velocity of the diffeomorphic DeFI-GAN at half the resolution.

    Raises
    ------
    InputError
        If the method has no such variant, or no generator.
    """

    def __init__(
        self,
        *,
        dimensions: int,
        method: str,
        base_filters: int,
        poolings: int,
        flow_scale: float = 1.0,
        variant: Variant = "plain",
    ) -> None:
        found = find_method(method)
        if not isinstance(found, Adversarial):
            raise InputError(f"{found.title} has no generator")
        if variant not in found.variants:
            known = ", ".join(found.variants)
            raise InputError(f"variant: {found.title} has only {known}, not {variant!r}")
        super().__init__(
            dimensions=dimensions,
            outputs=found.outputs(dimensions),
            base_filters=base_filters,
            poolings=poolings,
            variant=variant,
        )
        self.method, self.flow_scale = method, flow_scale
        self._meaning = found

    def forward(self, x1: Tensor) -> Explanation:  # type: ignore[override] # what a U-Net means
        """Explain diseased images `x1` of shape (N, 1, *spatial)."""
        return self._explain(x1, self._output(x1))

    def penalised(self, x1: Tensor) -> tuple[Explanation, Tensor]:
        """Explain diseased images; with the penalty of the explanation, a scalar (Eq. 4)."""
        output = self._output(x1)
        explanation = self._explain(x1, output)
        return explanation, self._meaning.penalty(x1, output, explanation, variant=self.variant)

    def _output(self, x1: Tensor) -> Tensor:
        return super().forward(x1).float()  # what follows is not for 16 bits

    def _explain(self, x1: Tensor, output: Tensor) -> Explanation:
        explain = self._meaning.explain
        return explain(x1, output, flow_scale=self.flow_scale, variant=self.variant)

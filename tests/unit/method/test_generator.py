"""The U-Net against the reference implementation."""

import pytest
import torch

from pipeline.method.generator import Generator
from pipeline.method.unet import UNet, load_reference_weights
from pipeline.stage.errors import InputError

METHODS = {"flow": "defi-gan", "residual": "va-gan"}


def build(dimensions, method, base_filters=4, flow_scale=1):
    return Generator(
        dimensions=dimensions,
        method=method,
        base_filters=base_filters,
        poolings={2: 4, 3: 3}[dimensions],
        flow_scale=flow_scale,
    )


@pytest.mark.parametrize("name", ["generator_2d_flow", "generator_3d_residual"])
def test_agrees_with_the_reference(golden, name):
    arrays, meta, weights = golden(name)
    method = METHODS[meta["output"]]
    generator = build(meta["dimensions"], method, meta["base_filters"], meta["flow_scale"])
    load_reference_weights(generator, weights)
    generator.eval()
    x1 = torch.from_numpy(arrays["x"])
    with torch.no_grad():
        modified, displacement = generator(x1)
        output = UNet.forward(generator, x1) if displacement is None else displacement
    for ours, key in ((output, "generator_output"), (modified, "xhat0")):
        expected = torch.from_numpy(arrays[key])
        tolerance = 1e-4 * expected.abs().max().item()
        torch.testing.assert_close(ours, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize(
    ("dimensions", "method", "base_filters", "key"),
    [
        (2, "defi-gan", 64, "generator_2d_flow_params"),
        (2, "va-gan", 64, "generator_2d_residual_params"),
        (3, "defi-gan", 16, "generator_3d_flow_params"),
        (3, "va-gan", 16, "generator_3d_residual_params"),
    ],
)
def test_parameter_counts_of_the_paper(formulas, dimensions, method, base_filters, key):
    generator = build(dimensions, method, base_filters)
    assert sum(weight.numel() for weight in generator.parameters()) == formulas[key]


def test_the_bottleneck_learns_the_classes():
    generator = build(2, "va-gan")
    seen = []
    generator.bottleneck.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    generator(torch.rand(2, 1, 16, 16))
    desired, given, difference = seen[0][:, -3:].transpose(0, 1)
    assert (desired == 0).all() and (given == 1).all() and (difference == 1).all()


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("method", ["defi-gan", "va-gan"])
def test_a_new_generator_starts_near_the_identity(dimensions, method):
    torch.manual_seed(0)
    images = torch.rand(2, 1, *[16] * dimensions) * 2 - 1
    explanation = build(dimensions, method)(images)
    if method == "defi-gan":
        assert explanation.displacement.shape == (2, dimensions, *[16] * dimensions)
        assert explanation.displacement.std() < 0.3
    else:
        assert explanation.displacement is None
        assert (explanation.modified - images).std() < 0.3
    weights = torch.cat(
        [
            m.weight.detach()
            for m in build(3, method).modules()
            if isinstance(m, torch.nn.BatchNorm3d)
        ]
    )
    assert weights.mean().item() == pytest.approx(0.1, abs=0.005)
    assert weights.std().item() == pytest.approx(0.01, abs=0.003)


def test_a_grid_that_cannot_be_halved_is_refused():
    with pytest.raises(InputError, match="multiples of 16"):
        build(2, "va-gan")(torch.zeros(1, 1, 24, 32))


def test_weights_of_another_network_are_refused(golden):
    _, _, weights = golden("generator_3d_residual")
    with pytest.raises(InputError, match="do not fit"):
        load_reference_weights(build(3, "defi-gan"), weights)


@pytest.fixture
def original():
    torch.manual_seed(0)
    return Generator(dimensions=3, method="va-gan", base_filters=16, poolings=3, variant="original")


def test_parameters_of_vagans_own_generator(original):
    """Counted layer by layer, as its authors' code lists them."""

    def convolution(inputs, outputs):  # 3x3x3 without bias, and a batch norm
        return 27 * inputs * outputs + 2 * outputs

    def upsampling(inputs):  # 4x4x4 without bias, to 16 filters, and a batch norm
        return 64 * inputs * 16 + 2 * 16

    down = [(1, 16), (16, 16), (16, 32), (32, 32), (32, 64), (64, 64), (64, 128), (128, 128)]
    up = [(16 + 64, 64), (64, 64), (16 + 32, 32), (32, 32), (16 + 16, 16)]
    last = 27 * 16 * 1 + 1  # with a bias and no batch norm
    expected = sum(convolution(*widths) for widths in (*down, *up)) + last
    expected += sum(upsampling(inputs) for inputs in (128, 64, 32))
    assert sum(weight.numel() for weight in original.parameters()) == expected == 1_441_313


def test_first_weights_of_vagans_own_generator(original):
    for module in original.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            assert (module.weight == 1).all() and (module.bias == 0).all()
        elif isinstance(module, torch.nn.Conv3d | torch.nn.ConvTranspose3d):
            expected = (2 / module.weight[0].numel()) ** 0.5
            assert module.weight.std().item() == pytest.approx(expected, rel=0.1)


def test_vagans_own_upsampling_doubles_the_grid(original):
    """A voxel reaches the 4x4x4 voxels around its own 2x2x2."""
    transposed = original.up1[0]
    features = torch.zeros(1, transposed.in_channels, 4, 4, 4)
    features[0, 0, 1, 2, 2] = 1
    reached = (transposed(features)[0, 0] != 0).nonzero()
    assert transposed(features).shape == (1, 16, 8, 8, 8)
    assert reached.min(0).values.tolist() == [1, 3, 3]
    assert reached.max(0).values.tolist() == [4, 6, 6]


def test_vagans_own_modified_image_is_bounded(original):
    x1 = 2 * torch.rand(2, 1, 16, 16, 16) - 1
    seen = []
    original.bottleneck.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    torch.nn.init.constant_(original.conv7[1][0].bias, 30.0)
    explanation, penalty = original.penalised(x1)
    assert seen[0].shape[1] == 64  # no channels of classes
    assert explanation.modified.abs().max() <= 1
    assert explanation.modified.mean() > 0.9
    torch.testing.assert_close(penalty, (explanation.modified - x1).abs().mean())
    with pytest.raises(InputError, match="only plain"):
        Generator(dimensions=3, method="defi-gan", base_filters=4, poolings=3, variant="original")

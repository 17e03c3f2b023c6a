"""Fields that are flows: they can be undone, fold nowhere, and are trained as any other's."""

import json

import numpy as np
import pytest
import torch

from pipeline.dataset.packed import PackedDataset
from pipeline.geometry.diffeomorphism import integrate, jacobian_determinant, random_velocity
from pipeline.method.deformation import exponential, warp
from pipeline.method.explain import explain_images, load_model
from pipeline.method.fit import fit_model
from pipeline.method.registry import find_method
from pipeline.stage.errors import InputError

SHAPES = [(64, 64), (32, 40, 32)]
VARIANTS = {"plain": 6, "half": 10}  # smoothness of the velocity, in voxels
METHOD = find_method("defi-gan-diffeo")


def velocity(shape, smoothness, *, amplitude=1.5, seed=None):
    """A random one of a root mean square in voxels; that of 1.5 moves by up to 6."""
    rng = np.random.default_rng(len(shape) if seed is None else seed)
    drawn = random_velocity(shape, rng=rng, amplitude=amplitude, smoothness=smoothness)
    return torch.from_numpy(drawn)[None]


def flow(v, variant):
    """phi (d, *shape) along the array axes."""
    output = torch.cat([torch.zeros_like(v[:, :1]), v], dim=1)
    x1 = torch.rand(1, 1, *v.shape[2:])
    modified, phi = METHOD.explain(x1, output, flow_scale=1, variant=variant)
    torch.testing.assert_close(modified, warp(x1, phi))
    return phi[0].numpy()[::-1]


@pytest.mark.parametrize("shape", SHAPES, ids=len)
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_flow_of_the_opposite_velocity_undoes_a_field_that_does_not_fold(shape, variant):
    v = velocity(shape, VARIANTS[variant])
    there, back = flow(v, variant), flow(-v, variant)
    assert np.abs(there).max() > 3
    assert jacobian_determinant(there).min() > 0
    assert way_left(there, back) < 0.1


@pytest.mark.parametrize("seed", range(6))
def test_a_steep_flow_is_undone_too(seed):
    v = velocity((64, 64), 6, amplitude=2, seed=seed)
    assert way_left(flow(v, "plain"), flow(-v, "plain")) < 0.1


def way_left(there, back):
    """Largest distance, in voxels, at which what stays on the grid does not come back."""
    shape = there.shape[1:]
    reached = np.indices(shape) + there
    inside = [(p >= 0) & (p <= n - 1) for p, n in zip(reached, shape, strict=True)]
    # `warp` gives 0 outside; what stays on the grid has to come back.
    returned = warp(
        torch.from_numpy(back.copy())[:, None],
        torch.from_numpy(there[::-1].copy()).expand(len(shape), *there.shape),
    )
    error = np.linalg.norm(there + returned[:, 0].numpy(), axis=0)
    return error[np.all(inside, axis=0)].max()


def test_flow_is_that_of_the_exact_integration():
    v = velocity((64, 64), 6)
    expected = integrate(v[0].numpy()[::-1], largest_step=0.01)
    assert np.abs(exponential(v)[0].numpy()[::-1] - expected).max() < 0.1


def test_a_constant_velocity_is_its_own_flow():
    v = torch.tensor([2.5, -1.0]).view(1, 2, 1, 1).expand(1, 2, 16, 16)
    torch.testing.assert_close(exponential(v), v)


@pytest.mark.parametrize("shape", [(32, 32), (16, 16, 16)], ids=len)
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_shortly_trained_model_does_not_fold(make_packed, shape, variant):
    """Trained to turn small squares into large ones, without a critic, which takes its time."""
    torch.manual_seed(0)
    data = PackedDataset.open(make_packed(shape))
    x1, x0 = (torch.from_numpy(np.array(a))[:, None] for a in (data.pairs_image, wanted(data)))
    settings = {"base_filters": 4, "poolings": 2, "flow_scale": 5.0, "variant": variant}
    generator = METHOD.build(dimensions=len(shape), **settings)
    optimiser = torch.optim.Adam(generator.parameters(), lr=0.02)
    for _ in range(40):
        explanation, penalty = generator.penalised(x1)
        optimiser.zero_grad()
        ((explanation.modified - x0).square().mean() + 0.002 * penalty).backward()
        optimiser.step()
    phi = explanation.displacement.detach().numpy()
    assert (explanation.modified - x0).square().mean() < (x1 - x0).square().mean() / 2
    assert min(jacobian_determinant(field[::-1]).min() for field in phi) > 0


def wanted(data):
    return data.pairs_image + data.pairs_difference


@pytest.mark.parametrize("variant", VARIANTS)
def test_its_fit_is_that_of_an_adversarial_method(make_packed, make_settings, tmp_path, variant):
    packed, out = make_packed((16, 16, 16), images=2), tmp_path / "model"
    options = {"epochs": 1, "updates_per_epoch": 3, "critic_base_filters": 2, "variant": variant}
    settings = make_settings(method=METHOD.name, **options)
    fit_model(packed, out, settings.to_dict(), device="cpu", threads=1)
    assert json.loads((out / "training.json").read_text())["settings"] == settings.to_dict()
    model = load_model(out / "generator.safetensors")
    assert (model.method, model.variant) == (METHOD.name, variant)
    _, phi = explain_images(model, PackedDataset.open(packed).pairs_image)
    assert phi.shape == (3, 3, 16, 16, 16) and phi.any()


def test_half_resolution_is_an_option_of_this_method_alone():
    assert METHOD.options.read({"lambda": 2, "variant": "half"}).variant == "half"
    for name in ("defi-gan", "va-gan"):
        with pytest.raises(InputError, match=r"variant: expected 'plain'.*, found 'half'"):
            find_method(name).options.read({"lambda": 2, "variant": "half"})

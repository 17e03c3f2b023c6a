"""Losses, and training updates against the reference implementation."""

import pytest
import torch

from pipeline.method.critic import VolumeCritic
from pipeline.method.generator import Generator
from pipeline.method.losses import (
    critic_loss,
    field_penalty,
    generator_loss,
    gradient_penalty,
)
from pipeline.method.registry import find_method
from pipeline.method.unet import load_reference_weights


@pytest.mark.parametrize("dimensions", [2, 3])
def test_field_penalty_agrees_with_the_reference(formulas, signal, dimensions):
    shape = formulas[f"deform{dimensions}d"]["shape"]
    phi = 2.5 * signal((shape[0], dimensions, *shape[2:]), 0.17)
    assert field_penalty(phi).item() == pytest.approx(formulas[f"tv{dimensions}d"], rel=1e-4)


def test_field_penalty_of_a_constant_field_has_a_gradient():
    phi = torch.zeros(1, 2, 4, 4, requires_grad=True)
    field_penalty(phi).backward()
    assert torch.isfinite(phi.grad).all()


def test_gradient_penalty_agrees_with_the_reference(formulas, signal):
    expected = formulas["gradient_penalty"]
    fake, real = signal((3, 1, 4, 5), 0.2), signal((3, 1, 4, 5), 0.7)
    penalty = gradient_penalty(
        lambda x: 0.5 * x.square().flatten(1).sum(1), real, fake, torch.tensor(expected["alpha"])
    )
    assert penalty.item() == pytest.approx(expected["value"], rel=1e-4)


def test_difference_penalty_is_the_mean_absolute_change():
    x1 = torch.zeros(2, 1, 4, 4)
    output = torch.full_like(x1, -0.5)
    method = find_method("va-gan")
    explanation = method.explain(x1, output, flow_scale=1, variant="plain")
    penalty = method.penalty(x1, output, explanation, variant="plain")
    loss = generator_loss(lambda x: x.flatten(1).mean(1), explanation, penalty, 10)
    assert [term.item() for term in loss] == [4.5, -0.5, 0.5]


def test_training_agrees_with_the_reference_step_by_step(golden, golden_training, signal):
    """Three critic updates and one of the generator, from the golden weights."""
    generator = Generator(dimensions=3, method="va-gan", base_filters=4, poolings=3)
    critic = VolumeCritic(4)
    load_reference_weights(generator, golden("generator_3d_residual")[2])
    load_reference_weights(critic, golden("critic_3d")[2])
    run = golden_training
    options = {"lr": run["lr"], "betas": tuple(run["betas"])}
    adams = {
        "critic": torch.optim.Adam(critic.parameters(), **options),
        "generator": torch.optim.Adam(generator.parameters(), **options),
    }
    generator.train()
    for step, (update, expected) in enumerate(zip(run["steps"], run["losses"], strict=True)):
        x1 = signal(run["shape"], 0.31 + 0.01 * step, 0.6, 0.4)
        x0 = signal(run["shape"], 0.27 + 0.01 * step, 0.6, 0.4)
        if update == "critic":
            with torch.no_grad():
                fake = generator(x1).modified
            alpha = torch.tensor(run["alphas"][step])
            loss = critic_loss(critic, x0, fake, alpha, run["lambda_reg_d"])
            ours = (loss.total, loss.real, -loss.fake, loss.penalty)
            keys = ("critic_loss", "l_dx0", "l_dxhat0", "l_regd")
        else:
            loss = generator_loss(critic, *generator.penalised(x1), run["lambda_reg_g"])
            ours, keys = loss, ("gen_loss", "l_g", "l_regg")
        values = [term.item() for term in ours]
        assert values == pytest.approx([expected[key] for key in keys], rel=1e-4), f"step {step}"
        adams[update].zero_grad()
        loss.total.backward()
        adams[update].step()

    generator.eval()
    expected = run["after_training_eval"]
    with torch.no_grad():
        modified = generator(signal(run["shape"], 0.5, 0.6, 0.4)).modified.double()
    assert modified.sum().item() == pytest.approx(expected["xhat0_sum"], rel=1e-4)
    assert modified.abs().sum().item() == pytest.approx(expected["xhat0_abs_sum"], rel=1e-4)

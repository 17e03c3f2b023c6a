"""Single updates of both networks."""

import torch

from pipeline.dataset.packed import PackedDataset
from pipeline.method.training.train import build_trainer


def trainer_of(packed, settings, shape=(32, 32)):
    data = PackedDataset.open(packed)
    return build_trainer(data, shape, settings, torch.device("cpu"))


def weights(network):
    return torch.cat([weight.detach().flatten() for weight in network.parameters()])


def test_accumulated_batches_average_the_gradients(make_packed, make_settings):
    """One update of two batches of the critic has the mean of the gradients of either."""
    packed = make_packed((32, 32))
    single = trainer_of(packed, make_settings())
    single.critic_adam.step = lambda: None  # both gradients at the same weights
    gradients = []
    for _ in range(2):
        single.update_critic()
        gradients.append(torch.cat([w.grad.flatten() for w in single.critic.parameters()]))
    both = trainer_of(packed, make_settings(accumulated_batches=2))
    both.critic_adam.step = lambda: None
    both.update_critic()
    accumulated = torch.cat([w.grad.flatten() for w in both.critic.parameters()])
    torch.testing.assert_close(accumulated, (gradients[0] + gradients[1]) / 2)


def test_an_update_leaves_the_other_network_alone(make_packed, make_settings):
    trainer = trainer_of(make_packed((32, 32)), make_settings())
    generator, critic = weights(trainer.generator), weights(trainer.critic)
    trainer.update_critic()
    assert torch.equal(weights(trainer.generator), generator)
    assert not torch.equal(weights(trainer.critic), critic)
    critic = weights(trainer.critic)
    trainer.update_generator()
    assert torch.equal(weights(trainer.critic), critic)
    assert not torch.equal(weights(trainer.generator), generator)


def test_gradient_penalty_keeps_its_precision(make_packed, make_settings):
    """In 16 bits the scores are rounded; the critic never sees the penalty's mixtures rounded."""
    packed = make_packed((32, 32))
    trainer = trainer_of(packed, make_settings(precision="bf16"))
    seen = []
    first = trainer.critic.network.conv1
    first.register_forward_hook(lambda _, inputs, output: seen.append(output.dtype))
    trainer.update_critic()
    assert seen == [torch.bfloat16, torch.bfloat16, torch.float32]
    trainer.update_generator()
    assert seen[3:] == [torch.bfloat16]
    assert all(weight.dtype == torch.float32 for weight in trainer.generator.parameters())


def test_epochs_may_count_the_generator_alone(make_packed, make_settings):
    settings = make_settings(epoch_counts="generator_updates", updates_per_epoch=2)
    trainer = trainer_of(make_packed((32, 32)), settings)
    while not trainer.epoch_is_over():
        trainer.update()
    assert (trainer.generator_updates, trainer.updates) == (2, 6)


def test_the_average_follows_the_generator(make_packed, make_settings):
    """The first update is copied; then a quarter of what is new comes in, statistics too."""
    trainer = trainer_of(make_packed((32, 32)), make_settings(averaging=0.75))
    norm = next(n for n in trainer.generator.state_dict() if n.endswith("running_mean"))
    weight = next(n for n, _ in trainer.generator.named_parameters())
    expected = None
    for _ in range(4):
        trainer.update_critic()
        trainer.update_generator()
        now = {n: trainer.generator.state_dict()[n].clone() for n in (norm, weight)}
        if expected is None:
            expected = now
        expected = {n: 0.75 * expected[n] + 0.25 * now[n] for n in now}
        for name, value in expected.items():
            torch.testing.assert_close(trainer.model.state_dict()[name], value)
    assert not torch.equal(weights(trainer.model), weights(trainer.generator))


def test_without_averaging_the_generator_itself_explains(make_packed, make_settings):
    trainer = trainer_of(make_packed((32, 32)), make_settings())
    assert trainer.model is trainer.generator

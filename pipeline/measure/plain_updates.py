"""The updates of critic and generator as the equations say, to compare the pipeline's with.

They keep every graph, as the authors' code does: a critic update also goes back through the
generator, a generator update also computes the critic's gradients.
"""

import torch

from pipeline.method.critic import build_critic
from pipeline.method.training.trainer import BETAS, Trainer


class PlainUpdates:
    """Both updates as the equations say, with nothing saved: Eq. 2 to 6 as one graph each.

    Parameters
    ----------
    trainer : Trainer
        Its generator, optimiser and batches are used, in PyTorch's ordinary memory layout, and a
        critic of PyTorch's own modules with the same weights.
    """

    def __init__(self, trainer: Trainer) -> None:
        self.trainer, self.settings = trainer, trainer.settings
        self.generator = trainer.generator.to(memory_format=torch.contiguous_format).train()
        self.critic = build_critic(
            trainer.generator.dimensions,
            "random",
            trainer.settings.critic_base_filters,
            trainer.settings.variant,
        )
        self.critic.load_state_dict(trainer.critic.state_dict())
        self.critic.to(next(self.generator.parameters()).device)
        self.generator_adam = trainer.generator_adam
        self.critic_adam = torch.optim.Adam(
            self.critic.parameters(), lr=trainer.settings.learning_rate, betas=BETAS
        )

    def update_critic(self) -> list[float]:
        """One step of the critic: loss, real, fake, penalty."""
        self.generator_adam.zero_grad()
        self.critic_adam.zero_grad()
        losses = []
        for _ in range(self.settings.accumulated_batches):
            x1, x0 = self.trainer.x1.draw(), self.trainer.x0.draw()
            with self.trainer.autocast():
                fake = self.generator(x1).modified
                mean_real = self.critic(x0).float().mean()
                mean_fake = self.critic(fake).float().mean()
            alpha = self.trainer.draw_alpha(x0).view(-1, *[1] * (x0.dim() - 1))
            mixed = alpha * x0 + (1 - alpha) * fake
            scores = self.critic(mixed)
            (gradient,) = torch.autograd.grad(scores.sum(), mixed, create_graph=True)
            penalty = (gradient.flatten(1).norm(dim=1) - 1).square().mean()
            total = mean_real - mean_fake + self.settings.gradient_penalty * penalty
            (total / self.settings.accumulated_batches).backward()
            losses.append(torch.stack([total, mean_real, mean_fake, penalty]).detach())
        self.critic_adam.step()
        return torch.stack(losses).mean(0).tolist()

    def update_generator(self) -> list[float]:
        """One step of the generator: loss, adversarial part, penalty."""
        self.generator_adam.zero_grad()
        self.critic_adam.zero_grad()
        losses = []
        for _ in range(self.settings.accumulated_batches):
            with self.trainer.autocast():
                explanation, penalty = self.generator.penalised(self.trainer.x1.draw())
                adversarial = self.critic(explanation.modified).float().mean()
            total = adversarial + self.settings.lambda_ * penalty
            (total / self.settings.accumulated_batches).backward()
            losses.append(torch.stack([total, adversarial, penalty]).detach())
        self.generator_adam.step()
        return torch.stack(losses).mean(0).tolist()

"""The pipeline's updates as CUDA graphs: recorded once, then started as a whole.

A GPU that has less to do than the processor takes to tell it waits; a graph is told at once.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from pipeline.method.training.trainer import Trainer

WARM_UP = 3  # runs before a recording, in which libraries choose their ways


class GraphedUpdates:
    """Both updates of a trainer, recorded where its device is a GPU.

    On a processor, which has no graphs, they run as they are.

    Parameters
    ----------
    trainer : Trainer
        Is trained by its updates and by those of the recording.
    """

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        batches = range(trainer.settings.accumulated_batches)
        # A graph reads its inputs where they were when it was recorded.
        self.x1, self.x0 = ([b.draw() for _ in batches] for b in (trainer.x1, trainer.x0))
        self.alpha = [trainer.draw_alpha(x0) for x0 in self.x0]
        record = as_it_is
        if self.x1[0].is_cuda:
            record = record_graph
            for adam in (trainer.critic_adam, trainer.generator_adam):
                for group in adam.param_groups:
                    group["capturable"] = True  # it counts its steps on the GPU
        self._critic, self._generator = map(record, (self._step_critic, self._step_generator))

    def update_critic(self) -> list[float]:
        """One step of the critic: loss, real, fake, penalty."""
        for x1, x0, alpha in zip(self.x1, self.x0, self.alpha, strict=True):
            x1.copy_(self.trainer.x1.draw())
            x0.copy_(self.trainer.x0.draw())
            alpha.copy_(self.trainer.draw_alpha(x0))
        return self._critic().tolist()

    def update_generator(self) -> list[float]:
        """One step of the generator: loss, adversarial part, penalty."""
        for x1 in self.x1:
            x1.copy_(self.trainer.x1.draw())
        return self._generator().tolist()

    def _step_critic(self) -> Tensor:
        trainer = self.trainer
        trainer.critic_adam.zero_grad()
        batches = zip(self.x1, self.x0, self.alpha, strict=True)
        terms = [trainer.add_critic_gradients(*batch) for batch in batches]
        trainer.critic_adam.step()
        return torch.stack(terms).mean(0)

    def _step_generator(self) -> Tensor:
        trainer = self.trainer
        trainer.generator_adam.zero_grad()
        terms = [trainer.add_generator_gradients(x1) for x1 in self.x1]
        trainer.generator_adam.step()
        return torch.stack(terms).mean(0)


def as_it_is(work: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """The work itself."""
    return work


def record_graph(work: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """What does the work again by a CUDA graph, with what then lies where its tensors lay."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP):
            work()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = work()

    def replay() -> Tensor:
        graph.replay()
        return result

    return replay

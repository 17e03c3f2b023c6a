"""A running average of the weights that are trained, which explains in their place."""

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


def running_average(network: nn.Module, factor: float, *, statistics: bool) -> AveragedModel | None:
    """The average of a `network` from its first update on; None where the `factor` is 0.

    Parameters
    ----------
    network
    factor
        On what was before, at each update (exponential moving average).
    statistics
        Whether buffers, such as the running statistics of batch norms, are averaged, too, and not
        only taken over.
    """
    if not factor:
        return None
    average = get_ema_multi_avg_fn(factor)
    return AveragedModel(network, multi_avg_fn=average, use_buffers=statistics)

"""How much arithmetic some work takes, counted and not run.

Networks are made on PyTorch's device ``meta``, whose tensors have shapes and no numbers: every
convolution and product of an update is seen, with both of its derivatives, and none is computed.
"""

from collections.abc import Callable
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


class _Counter(TorchDispatchMode):
    """PyTorch's formulas; its own counter fails at derivatives of derivatives."""

    operations: int = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.operations += formula(*args, **(kwargs or {}), out_val=result)
        return result


def count_operations(work: Callable[[], Any]) -> int:
    """Floating-point operations (two a multiplication and addition) of what `work` computes."""
    with _Counter() as counter:  # type: ignore[no-untyped-call] # of PyTorch's class
        work()
    return counter.operations

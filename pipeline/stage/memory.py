"""How a process is handed memory."""

import os


def use_huge_pages() -> None:
    """Let PyTorch ask the system for pages of 2 MiB instead of 4 KiB for large tensors.

    On a processor a fifth of an update, and a quarter of a brain's extraction, is otherwise spent
    on being handed memory. To be called before the process has its first large tensor; where Linux
    has no such pages nothing changes.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

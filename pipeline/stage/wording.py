"""Words that fit a number."""


def number_of(count: int, singular: str) -> str:
    """A number of things: 1 epoch, 2 epochs."""
    return f"{count} {singular}" + ("" if count == 1 else "s")

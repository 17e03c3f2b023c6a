"""What tables, pictures and pages tell of a data set."""

from typing import TypedDict


class Disease(TypedDict):
    """Name of a disease, and of the groups without and with it."""

    name: str
    healthy: str
    diseased: str


class About(TypedDict):
    """A data set in words; ``data`` is ``toy``, ``demo`` (simulated) or ``real``."""

    title: str
    modality: str
    disease: Disease
    data: str

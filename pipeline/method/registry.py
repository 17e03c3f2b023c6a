"""The methods that there are."""

from collections.abc import Iterable

from pipeline.method.class_difference import ClassDifference
from pipeline.method.constant_field import ConstantField
from pipeline.method.ddim import Ddim
from pipeline.method.defi_gan import DefiGan
from pipeline.method.defi_gan_diffeo import DefiGanDiffeo
from pipeline.method.interface import Method
from pipeline.method.latent_shift import LatentShift
from pipeline.method.random_field import RandomField
from pipeline.method.va_gan import VaGan
from pipeline.stage.errors import InputError

# By name, in the order of the tables.
METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        RandomField(),
        ClassDifference(),
        ConstantField(),
        LatentShift(),
        Ddim(),
        VaGan(),
        DefiGan(),
        DefiGanDiffeo(),
    )
}


def find_method(name: str) -> Method:
    """The method of a name.

    Raises
    ------
    InputError
        If nobody registered it.
    """
    if name not in METHODS:
        raise InputError(f"method: {name!r} is none of {', '.join(METHODS)}")
    return METHODS[name]


def reference_method() -> Method:
    """The method that the others are compared with."""
    return next(method for method in METHODS.values() if method.reference)


def first_that_deforms(names: Iterable[str]) -> str | None:
    """The first of these methods that has displacement fields; None where none has.

    Baselines come last.
    """
    last = sorted(names, key=lambda name: find_method(name).baseline)
    return next((name for name in last if find_method(name).deforms), None)


def shown_first(names: Iterable[str]) -> list[str]:
    """These methods as pictures show them: the first that deforms, then the others.

    Baselines are left out, unless there is nothing else to show.
    """
    names = list(names)
    first = first_that_deforms(names)
    shown = [name for name in names if name == first or not find_method(name).baseline]
    return sorted(shown or names, key=lambda name: name != first)

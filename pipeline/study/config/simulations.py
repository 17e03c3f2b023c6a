"""Studies that are simulated, in place of an archive."""

from typing import Self

from pydantic import model_validator

from pipeline.study.config.values import (
    AtLeastZero,
    Count,
    NumberOf,
    Range,
    Section,
    Text,
    mistake,
)


class Demo(Section):
    """A simulation, and where its true displacement fields go.

    Attributes
    ----------
    truth : str
        Folder of the true displacement fields, which no stage reads before the scores.
    seed : int
        Of all that is simulated.
    """

    truth: Text
    seed: NumberOf

    def settings(self) -> dict[str, object]:
        """What the simulation depends on."""
        return self.model_dump(exclude={"truth"})


class AdniDemo(Demo):
    """Simulated brain MRI of converters, stable subjects, and others.

    Attributes
    ----------
    converters : int
        Subjects with MCI first and AD later: the pairs.
    held_out : int
        Of these, made from a head that no other subject is made from, for the test.
    stable_mci : int
        Subjects with MCI only.
    ad_at_baseline : int
        Subjects with AD at their only visit.
    field_mismatch : int
        Converters with a last visit at another field strength.
    faulty : int
        Subjects for each fault that must be excluded.
    severity : list
        Largest displacement of tissue by the disease, mm.
    ageing : float
        Largest displacement by ageing, mm a year.
    variation : float
        Of the subjects' anatomies, mm, root mean square.
    voxel_mm : list
        Sides of a scan's voxels in mm are drawn between these.
    rotation : float
        Of a visit's pose, at most, degrees about each axis.
    translation : float
        Of a visit's pose, at most, mm along each axis.
    bias : float
        Strength of the receive field.
    noise : float
        Standard deviation, relative to white matter.
    """

    converters: Count
    held_out: NumberOf = 0
    stable_mci: NumberOf
    ad_at_baseline: NumberOf
    field_mismatch: NumberOf
    faulty: NumberOf
    severity: Range
    ageing: AtLeastZero
    variation: AtLeastZero
    voxel_mm: Range
    rotation: AtLeastZero
    translation: AtLeastZero
    bias: AtLeastZero
    noise: AtLeastZero

    @model_validator(mode="after")
    def _check_held_out(self) -> Self:
        if self.held_out and self.held_out >= self.converters:
            raise mistake("expected fewer than converters", "held_out")
        return self


class CopdDemo(Demo):
    """Simulated films of subjects with one film and with two.

    Attributes
    ----------
    normal, copd : int
        Subjects with one film, without and with the disease.
    paired : int
        Subjects with a normal and a later COPD film.
    faulty : int
        Subjects for each fault that must be excluded.
    height : int
        Rows of a film.
    severity : list
        Of the disease.
    """

    normal: Count
    copd: Count
    paired: Count
    faulty: NumberOf
    height: Count
    severity: Range

"""Studies that are simulated, in place of an archive."""

from pipeline.study.config.values import AtLeastZero, Count, NumberOf, Range, Section, Text


class Demo(Section):
    """A simulation, and where its true displacement fields go."""

    truth: Text
    seed: NumberOf

    def settings(self) -> dict[str, object]:
        """What the simulation depends on."""
        return self.model_dump(exclude={"truth"})


class AdniDemo(Demo):
    """Simulated brain MRI of converters, stable subjects, and others."""

    converters: Count
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


class CopdDemo(Demo):
    """Simulated films of subjects with one film and with two."""

    normal: Count
    copd: Count
    paired: Count
    faulty: NumberOf
    height: Count
    severity: Range

from pipeline.measure.interval_coverage import coverage


def test_seeds_must_be_resampled():
    """Where trainings differ, an interval over subjects alone is too narrow; of 3 subjects, any."""
    two_way, subjects_alone = coverage(5, 12, 0.04, studies=100)
    assert 0.86 < two_way <= 1
    assert subjects_alone < two_way
    assert coverage(3, 3, 0.0, studies=100)[0] < 0.86

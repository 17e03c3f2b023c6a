"""How often the intervals of `pipeline.score.uncertainty` hold the truth, on scores made up.

``python -m pipeline.measure.interval_coverage`` prints the table of docs/statistics.md.
"""

import numpy as np
import pandas as pd

from pipeline.score.uncertainty import percentile_interval, two_way_bootstrap

STUDIES = 2000  # for each row; a coverage of 93 % is then known to 1.1 %
SUBJECT_SD, SINGLE_SD = 0.10, 0.05  # of subjects, and of one seed's score of one subject
SEED_SDS = (0.015, 0.04)  # the paper's over seeds on ADNI, and an unsteady training's
SEEDS, SUBJECTS = (3, 5), (10, 12, 30)
RESAMPLES = 1999  # of each study; tables have more
FEW = 3  # subjects: what the intervals of fewer than 10 would be worth
SEED = 0


def coverage(seeds: int, subjects: int, seed_sd: float, studies: int) -> tuple[float, float]:
    """Shares of simulated studies whose interval holds the true mean.

    Parameters
    ----------
    seeds, subjects
        Of each study.
    seed_sd
        Standard deviation of what all scores of a seed have in common.
    studies
        How many are simulated.

    Returns
    -------
    two_way, subjects_alone : float
        Of the intervals that resample seeds and subjects, and of those that resample the subjects
        of scores averaged over the seeds.
    """
    rng = np.random.default_rng(SEED)
    held = np.zeros(2)
    for _ in range(studies):
        scores = SUBJECT_SD * rng.standard_normal(subjects)
        scores = scores + seed_sd * rng.standard_normal((seeds, 1))
        scores = scores + SINGLE_SD * rng.standard_normal((seeds, subjects))
        for kind, values in enumerate((scores, scores.mean(axis=0, keepdims=True))):
            low, high = percentile_interval(two_way_bootstrap(values, RESAMPLES))
            held[kind] += low <= 0 <= high
    two_way, subjects_alone = held / studies
    return float(two_way), float(subjects_alone)


def coverage_table(studies: int = STUDIES) -> pd.DataFrame:
    """A row a size of study: coverage in per cent of both intervals."""
    sizes = [(SEEDS[0], FEW), *((seeds, n) for seeds in SEEDS for n in SUBJECTS)]
    rows = [
        (seed_sd, seeds, subjects, *(100 * np.array(coverage(seeds, subjects, seed_sd, studies))))
        for seed_sd in SEED_SDS
        for seeds, subjects in sizes
    ]
    columns = ["sd of seeds", "seeds", "subjects", "seeds and subjects, %", "subjects alone, %"]
    return pd.DataFrame(rows, columns=columns)


if __name__ == "__main__":
    print(coverage_table().to_string(index=False, float_format="{:.4g}".format))

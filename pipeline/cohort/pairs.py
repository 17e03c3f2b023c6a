"""Which visits of a subject are compared: pairs of a diseased image and a healthy one."""

import pandas as pd

from pipeline.cohort.manifest import PAIR_COLUMNS

BASELINE = "bl"


def adni_pairs(manifest: pd.DataFrame, baseline: str | None = BASELINE) -> pd.DataFrame:
    """Evaluation pairs of ADNI: every diseased visit with the baseline, at one field strength.

    A subject qualifies with exactly one baseline visit, a healthy one, and at least one diseased
    visit at the field strength of the baseline (both may be unknown).

    Parameters
    ----------
    manifest
        Table with at least subject, session, label, field_strength and split.
    baseline
        Session of the baseline; None: each subject's first `day`.

    Returns
    -------
    pandas.DataFrame
        Columns `PAIR_COLUMNS`, validation and test subjects only.
    """
    return _evaluated(_longitudinal(manifest, baseline), manifest)


def copd_pairs(manifest: pd.DataFrame) -> pd.DataFrame:
    """Evaluation pairs of films: every COPD film with every normal film of the subject.

    Parameters
    ----------
    manifest
        Table with at least subject, session, label and split.

    Returns
    -------
    pandas.DataFrame
        Columns `PAIR_COLUMNS`, validation and test subjects only.
    """
    normal = manifest.loc[manifest["label"] == 0, ["subject", "session"]]
    diseased = manifest.loc[manifest["label"] == 1, ["subject", "session"]]
    pairs = normal.rename(columns={"session": "baseline"}).merge(
        diseased.rename(columns={"session": "followup"}), on="subject"
    )
    return _evaluated(pairs, manifest)


def unpaired_subjects(visits: pd.DataFrame, baseline: str | None = BASELINE) -> pd.Series:
    """Why a subject has no pair by the rule of `adni_pairs`.

    Parameters
    ----------
    visits
        Columns subject, session, label and field_strength; the split does not matter.
    baseline
        As for `adni_pairs`.

    Returns
    -------
    pandas.Series
        Reason by subject, sorted by subject; ``""`` for subjects that have a pair.
    """
    subjects = pd.Index(sorted(visits["subject"].unique()), name="subject")
    first = visits[_is_baseline(visits, baseline)]
    baselines = first.groupby("subject").size().reindex(subjects, fill_value=0)
    diseased = visits.loc[visits["label"] == 1, "subject"]
    reasons = pd.Series("", index=subjects, dtype=object)
    # From the last rule to the first, so that the first that fails is the one told.
    reasons[~subjects.isin(_longitudinal(visits, baseline)["subject"])] = (
        "no diseased visit has the field strength of the baseline"
    )
    reasons[~subjects.isin(diseased)] = "the subject has no diseased visit"
    reasons[subjects.isin(first.loc[first["label"] == 1, "subject"])] = (
        "the subject is diseased at the baseline"
    )
    reasons[baselines > 1] = "the subject has more than one baseline visit"
    reasons[baselines == 0] = "the subject has no usable baseline visit"
    return reasons


def unpaired_visits(visits: pd.DataFrame, baseline: str | None = BASELINE) -> pd.Series:
    """Why a visit is in no pair by the rule of `adni_pairs`.

    Parameters
    ----------
    visits, baseline
        As for `unpaired_subjects`.

    Returns
    -------
    pandas.Series
        Reason, with the index of `visits`; ``""`` for visits that are in a pair.
    """
    pairs = _longitudinal(visits, baseline)
    used = pd.MultiIndex.from_frame(
        pd.concat(
            pairs[["subject", side]].set_axis(["subject", "session"], axis=1)
            for side in ("baseline", "followup")
        )
    )
    paired = pd.MultiIndex.from_frame(visits[["subject", "session"]]).isin(used)
    reasons = visits["subject"].map(unpaired_subjects(visits, baseline))
    of_visit = visits["label"].map(
        {
            0: "it is neither the baseline nor a diseased visit",
            1: "its field strength is not that of the baseline",
        }
    )
    return reasons.where(reasons != "", of_visit).mask(paired, "")


def _is_baseline(visits: pd.DataFrame, baseline: str | None) -> pd.Series:
    if baseline is None:
        return visits["day"] == visits.groupby("subject")["day"].transform("min")
    return visits["session"] == baseline


def _longitudinal(visits: pd.DataFrame, baseline: str | None) -> pd.DataFrame:
    """Every pair that the rule of `adni_pairs` allows, whatever the split of the subject."""
    columns = ["subject", "session", "field_strength"]
    first = visits[_is_baseline(visits, baseline)]
    first = first[~first["subject"].duplicated(keep=False) & (first["label"] == 0)]
    diseased = visits[visits["label"] == 1]
    pairs = (
        first[columns]
        .rename(columns={"session": "baseline"})
        .merge(
            diseased[columns].rename(columns={"session": "followup"}),
            on=["subject", "field_strength"],
        )
    )
    return pairs[["subject", "baseline", "followup"]]


def _evaluated(pairs: pd.DataFrame, manifest: pd.DataFrame) -> pd.DataFrame:
    splits = manifest.drop_duplicates("subject").set_index("subject")["split"]
    pairs = pairs.assign(split=pairs["subject"].map(splits))
    pairs = pairs.loc[pairs["split"].isin(["validation", "test"]), PAIR_COLUMNS]
    return pairs.sort_values(["subject", "baseline", "followup"], ignore_index=True)

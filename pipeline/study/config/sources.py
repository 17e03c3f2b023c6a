"""Archives that data come from: where they lie, who is in which split, what the labels are."""

import re
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from pipeline.study.config.values import (
    Between0And1,
    Number,
    NumberOf,
    Section,
    Share,
    Text,
    is_none,
    mistake,
)

LOOPBACK = ("localhost", "127.0.0.1", "::1")
SEVERAL = Field(min_length=1, description="values of the column")


class Archive(Section):
    """Where the raw images and their tables lie."""

    def paths(self) -> dict[str, str]:
        """Files and folders by their keys."""
        return {key: path for key, path in self if isinstance(path, str)}

    def files_read(self) -> list[str]:
        """Files that tell who is there."""
        raise NotImplementedError

    def tables_made(self) -> list[str]:
        """The same, as a job that makes the archive declares them."""
        return self.files_read()


class AdniArchive(Archive):
    """Folders of LONI, and ADNI's tables.

    Attributes
    ----------
    images : str
        Folder with one folder a subject, such as ``023_S_0030``.
    tables : str
        Folder with ADNIMERGE, DXSUM, MRIMETA and MRI3META (CSV).
    """

    images: Text
    tables: Text

    def files_read(self) -> list[str]:
        """All tables."""
        return _found(self.tables, "*.csv")

    def tables_made(self) -> list[str]:
        """Their folder."""
        return [self.tables]


class BidsArchive(Archive):
    """A BIDS dataset.

    Attributes
    ----------
    dataset : str
        Folder of the dataset.
    derivatives : str or None
        Folder of the images, if other programs prepared them.
    """

    dataset: Text
    derivatives: Text | None = None

    def files_read(self) -> list[str]:
        """Tables of people and of their sessions."""
        return _found(self.dataset, "participants.tsv", "sub-*/sub-*_sessions.tsv")


class PlainArchive(Archive):
    """A table that anyone can write, and the folder that its paths begin in.

    Attributes
    ----------
    table : str
        CSV with a row an image: subject, session, path, and the column of ``labels``.
    """

    table: Text
    images: Text = Field(description="folder that the paths begin in; else that of the table")

    def files_read(self) -> list[str]:
        """The table."""
        return [self.table]


def _found(folder: str, *patterns: str) -> list[str]:
    return sorted(str(path) for pattern in patterns for path in Path(folder).glob(pattern))


def _check_url(text: str) -> str:
    url = urlsplit(text)
    if "@" in url.netloc:  # not quoted: it may be a password
        raise mistake("holds a user; set ORTHANC_USER and ORTHANC_PASSWORD, or use netrc")
    if not url.hostname or url.scheme not in ("http", "https"):
        raise mistake(f"expected https://HOST:PORT, found {text!r}")
    if url.scheme == "http" and url.hostname not in LOOPBACK:
        raise mistake("expected https, since patients' films and a password go this way")
    return text


def _check_query(query: dict[str, str]) -> dict[str, str]:
    from pydicom.datadict import tag_for_keyword  # most configurations name no server

    for keyword in query:
        if tag_for_keyword(keyword) is None:
            raise mistake(f"{keyword!r} is no keyword of DICOM")
    return query


class Orthanc(Section):
    """A server that films are fetched from.

    Attributes
    ----------
    url : str
        Address of the server, by https unless it is this machine.
    patients : str
        CSV to be written: PatientID and subject. It never leaves your site.
    """

    url: Annotated[Text, AfterValidator(_check_url)]
    query: Annotated[
        dict[str, str],
        Field(min_length=1, description="what to look for, by keyword of DICOM"),
        AfterValidator(_check_query),
    ]
    patients: Text


class CopdArchive(Archive):
    """Films in any folder, or those of a server, and a table of lung function tests.

    Attributes
    ----------
    orthanc : Orthanc
        A server to fetch the films from.
    films : str
        Folder of DICOM, PNG or JPEG files; films of a server are written there.
    films_table : str
        Of PNG and JPEG films, a CSV: path, patient_id, date, view.
    spirometry : str
        CSV of lung function tests.
    """

    orthanc: Orthanc | None = None
    films: Text
    films_table: Text | None = None
    spirometry: Text

    def files_read(self) -> list[str]:
        """The tables; where DICOM films lie there, they tell the rest themselves."""
        return [self.spirometry, *filter(None, [self.films_table])]

    @model_validator(mode="after")
    def _check_table(self) -> Self:
        if self.orthanc and self.films_table is not None:
            raise mistake("the films of a server are DICOM; set films_table to null", "orthanc")
        return self


class Fractions(Section):
    """Shares of the subjects, by split.

    Attributes
    ----------
    train, validation, test : float
        Share of the split; the three add up to 1.
    """

    train: Share
    validation: Share
    test: Share


class SplitLists(Section):
    """Text files, one subject a line, by split.

    Attributes
    ----------
    train, validation, test : str
        File with the subjects of the split.
    """

    train: Text
    validation: Text
    test: Text


class Splits(Section):
    """Subjects to splits: by chance, or by lists.

    Attributes
    ----------
    seed : int
        Of the chance that shares out the subjects; 0 unless there are ``lists``.
    fractions : Fractions
        Share of the subjects in each split, unless there are ``lists``.
    """

    PAPER: ClassVar[Fractions]

    seed: NumberOf | None = Field(None, exclude_if=is_none)
    fractions: Fractions | None = Field(
        None, exclude_if=is_none, description="share of the subjects in each split"
    )
    lists: SplitLists | None = Field(
        None, exclude_if=is_none, description="text files, one subject a line"
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("lists") is None:
            return {"seed": 0, "fractions": cls.PAPER, **given}
        return given

    @model_validator(mode="after")
    def _check_one(self) -> Self:
        if self.lists and (self.seed is not None or self.fractions):
            raise mistake("expected either seed and fractions, or lists, found both")
        return self


class VolumeSplits(Splits):
    """As in the paper: 824, 206 and 258 subjects."""

    PAPER = Fractions(train=0.64, validation=0.16, test=0.20)


class FilmSplits(Splits):
    """Of the subjects with pairs; the others are trained on."""

    PAPER = Fractions(train=0.0, validation=0.33, test=0.67)


class SharedCohort(Section):
    """Whom to study: the images of another study, by the list that it made.

    Attributes
    ----------
    list : str
        Its ``cohort_list.csv``, which takes the place of ``splits``.
    """

    list: Text


class Classes(Section):
    """Which values of a table's column are the two groups.

    Attributes
    ----------
    column : str
        Of the table: the diagnosis at each visit.
    """

    column: Text
    healthy: Annotated[list[str | Number | bool], SEVERAL]
    diseased: Annotated[list[str | Number | bool], SEVERAL]


class SpirometryNames(Section):
    """Names of the columns of a table of lung function tests.

    Attributes
    ----------
    patient : str
        Column of the patient's id.
    date : str
        Column of the day of the test.
    ratio : str
        Column of FEV1/FVC, a fraction or a per cent.
    transplant : str
        Column of lung transplants: 1 or 0, yes or no; empty is no.
    percent_predicted : str
        Column of FEV1 in per cent of the predicted, for the GOLD grade; may be missing.
    """

    patient: Text = "PatientID"
    date: Text = "TestDate"
    ratio: Text = "FEV1_FVC"
    transplant: Text = "Transplant"
    percent_predicted: Text = "FEV1_PctPred"


class SpirometryLabels(Section):
    """Which films show COPD: by the lung function test that was taken near them.

    Attributes
    ----------
    ratio_threshold : float
        FEV1/FVC below it is COPD.
    max_days : int
        Between a film and its test, at most.
    pseudonym_key : str
        Never share it.
    """

    ratio_threshold: Between0And1 = 0.7
    max_days: NumberOf = 29
    columns: SpirometryNames = Field(
        SpirometryNames(), description="names of the columns of the spirometry table"
    )
    pseudonym_key: Text = Field(
        description="file of the secret behind the subjects' names, made where there is none; "
        "else pseudonym.key beside the table of lung function tests"
    )


Columns = Annotated[
    dict[str, Text] | None,
    Field(None, description="names of table columns where they differ from the usual ones"),
]


def _check_format(text: str) -> str:
    fields = sorted(re.findall("%.", text.replace("%y", "%Y")))
    if text != "serial" and fields not in [sorted(["%Y", "%d", m]) for m in ("%m", "%b", "%B")]:
        raise mistake(
            "expected a day (%d), a month (%m, %b or %B) and a year (%Y or %y) in the order of "
            f"the tables, or serial, found {text!r}"
        )
    return text


DateFormat = Annotated[
    Annotated[Text, AfterValidator(_check_format)] | None,
    Field(
        None,
        exclude_if=is_none,
        description="of dates in tables that may be read in several ways",
    ),
]

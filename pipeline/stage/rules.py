"""The rules by which images, tests and rows of tables are left out: each has a code and a title."""

from enum import StrEnum
from typing import TypedDict


class Rule(StrEnum):
    """Code of a rule, as it stands in exclusions.csv and sidecars; `title` is for people."""

    title: str

    def __new__(cls, code: str, title: str) -> "Rule":
        """Member whose value is its code."""
        member = str.__new__(cls, code)
        member._value_ = code
        member.title = title
        return member

    # Files, and what they hold.
    NO_FILE = "no_file", "There is no such file"
    UNREADABLE = "unreadable", "The file is damaged or cannot be read"
    WRONG_KIND = "wrong_kind", "Not an image of the kind that is studied"
    BAD_GEOMETRY = "bad_geometry", "Orientation or size is missing or impossible"
    NO_CONTENT = "no_content", "The grey values hold no usable picture"
    SHARED_CONTENT = "shared_content", "The image stands for several subjects"
    COPY = "copy", "A copy of another image"
    NOT_FETCHED = "not_fetched", "The server did not hand it out"

    # Names, tables and their rows.
    MISNAMED = "misnamed", "Not named or placed as the archive does it"
    NOT_LISTED = "not_listed", "Not in the tables of the archive"
    NO_SUBJECT = "no_subject", "The subject is not told"
    NO_VISIT = "no_visit", "The visit or study is not told"
    NO_DATE = "no_date", "The date is missing or none"
    BEFORE_BIRTH = "before_birth", "Dated before the patient's birth"
    BAD_VALUE = "bad_value", "A value is missing or impossible"
    REPEATED = "repeated", "Listed twice"
    CONTRADICTION = "contradiction", "Contradicts another row"

    # Who is studied, by which images.
    OTHER_PROTOCOL = "other_protocol", "Of another protocol"
    OTHER_SERIES = "other_series", "Of another series or processing"
    OTHER_MODALITY = "other_modality", "Not a film by its modality"
    OTHER_VIEW = "other_view", "Not a PA film"
    UNKNOWN_VIEW = "unknown_view", "Not known to be a PA film"
    NO_DIAGNOSIS = "no_diagnosis", "No diagnosis"
    OTHER_CLASS = "other_class", "Neither healthy nor diseased"
    TRANSPLANT = "transplant", "Lung transplant"
    NO_IMAGE = "no_image", "No usable image"
    NO_TEST = "no_test", "No usable lung function test within the day limit"
    MATCHED_OTHERWISE = "matched_otherwise", "Film and test are matched otherwise"
    SEVERAL_FILMS = "several_films", "The study has several PA films"
    SEVERAL_SERIES = "several_series", "The folder holds several series that may be the scan"
    NOT_CHOSEN = "not_chosen", "Another image of the visit is used"
    NOT_USED = "not_used", "What it belongs to is not used"
    NO_PAIR = "no_pair", "Of a subject for evaluation, but in no pair"
    NO_SPLIT = "no_split", "In no list of the splits"

    # Stages and quality control.
    TOOL_FAILED = "tool_failed", "A tool failed or crashed"
    EMPTY_RESULT = "empty_result", "A tool left no sound result"
    TIME_LIMIT = "time_limit", "Took longer than is allowed"
    NOT_REGISTERED = "not_registered", "The registration failed"
    BAD_BRAIN = "bad_brain", "What was found is no brain"
    SUSPECT = "suspect", "Suspect by the quality control"
    DROPPED = "dropped", "On the user's drop list"
    IMAGE_EXCLUDED = "image_excluded", "An image of the pair is excluded"


class Told(TypedDict):
    """Why something is left out: the rule, and the same in a sentence for this one."""

    rule: Rule
    reason: str

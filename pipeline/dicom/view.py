"""Which projection a film is, from what its header and its file name say."""

import re

# Not within words nor before digits: removable media name their folders PA000001.
_VIEWS = {
    view: re.compile(rf"(?<![A-Z0-9])(?:{words})(?![A-Z0-9])")
    for view, words in {
        "PA": r"PA|P\.A\.?|POSTERO-?ANTERIOR",
        "AP": r"AP|A\.P\.?|ANTERO-?POSTERIOR",
        "LATERAL": r"LATERAL|LAT|LL|RL|LLAT|RLAT",
    }.items()
}


def decide_view(
    view_position: str, series_description: str, study_description: str, file_name: str
) -> tuple[str, str]:
    """Decide on the projection of a film and say from what.

    The first that names exactly one of the views decides: a study description often lists all the
    films of the study ("chest PA and lateral").

    Returns
    -------
    view : str
        ``"PA"``, ``"AP"``, ``"LATERAL"`` or ``""``.
    reason : str
        Where it stands; none of the text itself, which may be about the patient.
    """
    if view_position:
        return _named_view(view_position), "ViewPosition"
    sources = {
        "series description": series_description,
        "study description": study_description,
        "file name": file_name,
    }
    for source, text in sources.items():
        view = _named_view(text)
        if view:
            return view, source
    return "", "neither ViewPosition nor descriptions nor file name name one view"


def _named_view(text: str) -> str:
    named = [view for view, words in _VIEWS.items() if words.search(text.upper())]
    return named[0] if len(named) == 1 else ""

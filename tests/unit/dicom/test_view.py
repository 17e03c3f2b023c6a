import pytest

from pipeline.dicom.view import decide_view


@pytest.mark.parametrize(
    ("texts", "view", "reason"),
    [
        (("AP", "Chest PA", "", ""), "AP", "ViewPosition"),
        (("LL", "", "", ""), "LATERAL", "ViewPosition"),
        (("RLO", "Chest PA", "", ""), "", "ViewPosition"),
        (("", "W033 Chest p.a.", "", ""), "PA", "series description"),
        (("", "Thorax", "Chest PA", ""), "PA", "study description"),
        (("", "", "Chest PA and lateral", "film_LAT"), "LATERAL", "file name"),
        (("", "", "", "x-pa_2"), "PA", "file name"),
        (("", "Postero-anterior", "", ""), "PA", "series description"),
        (("", "", "spa, Paris, flat", "PA000001"), "", "neither"),
    ],
)
def test_view(texts, view, reason):
    decided, why = decide_view(*texts)
    assert decided == view
    assert why.startswith(reason)

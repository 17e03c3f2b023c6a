import pytest

from pipeline.stage.wording import number_of


@pytest.mark.parametrize(
    ("count", "told"), [(0, "0 test pairs"), (1, "1 test pair"), (2, "2 test pairs")]
)
def test_a_number_agrees_with_its_noun(count, told):
    assert number_of(count, "test pair") == told

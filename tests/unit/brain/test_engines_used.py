import pytest

from pipeline.brain.engines_used import check_engines, engines_used, volume_table
from pipeline.stage.errors import InputError


def sidecar(*steps, **status):
    names = ("stage", "engine", "version")
    steps = [dict(zip(names, step, strict=True)) for step in steps]
    return {"status": "ok", "stage": "grid", "steps": steps, **status}


FSL = ("crop", "FSL robustfov", "6.0.7.4")
EMBEDDED = ("crop", "niimath -robustfov", "1.0")
FAULT = {"rule": "tool_failed", "reason": "no head"}
TOLD = ["status", "stage", "rule", "reason"]
ORIENT = ("orient", "nibabel", "5.4")


def test_table_tells_status_engine_and_version():
    failed = sidecar(ORIENT, status="excluded", stage="crop", **FAULT)
    table = volume_table([("s1", "bl", sidecar(ORIENT, FSL)), ("s2", "m12", failed)])
    rows = table.set_index("subject")
    assert rows.loc["s1", TOLD].tolist() == ["ok", "", "", ""]
    assert rows.loc["s1", ["crop_engine", "crop_version"]].tolist() == list(FSL[1:])
    assert rows.loc["s2", TOLD].tolist() == ["excluded", "crop", *FAULT.values()]
    assert rows.loc["s2", ["orient_engine", "crop_engine"]].tolist() == ["nibabel", ""]
    assert "grid_version" in table


@pytest.mark.parametrize("other", [EMBEDDED, ("crop", "FSL robustfov", "6.0.5")])
def test_mixed_engines_and_versions_are_named(other):
    images = [("s1", "bl", sidecar(ORIENT, FSL)), ("s2", "bl", sidecar(ORIENT, FSL))]
    check_engines(volume_table(images))
    images.append(("s3", "bl", sidecar(ORIENT, other)))
    with pytest.raises(InputError) as error:
        check_engines(volume_table(images))
    assert "FSL robustfov 6.0.7.4: 2 volumes" in str(error.value)
    assert f"{other[1]} {other[2]}: 1 volume" in str(error.value)
    assert "orient" not in str(error.value)


def test_excluded_volumes_may_come_from_anywhere():
    lost = sidecar(ORIENT, EMBEDDED, status="excluded", stage="bias", **FAULT)
    check_engines(volume_table([("s1", "bl", sidecar(ORIENT, FSL)), ("s2", "bl", lost)]))


def test_stage_that_was_left_out_is_not_told():
    images = [("s1", "bl", sidecar(ORIENT))]
    assert engines_used(volume_table(images)) == {"orient": {"nibabel 5.4": 1}}
    images.append(("s2", "bl", sidecar(ORIENT, ("skull_refine", "FSL bet", "6.0"))))
    with pytest.raises(InputError, match="skull_refine"):
        check_engines(volume_table(images))


def test_stage_of_other_programs_is_told_where_there_is_one():
    accept = ("accept", "another program", "5.4")
    images = [("s1", "bl", sidecar(accept, ("grid", "scipy", "1.15")))]
    assert list(engines_used(volume_table(images))) == ["accept", "grid"]
    assert "accept_engine" not in volume_table([("s1", "bl", sidecar(ORIENT))])


def test_not_every_volume_has_to_be_converted():
    """Of DICOM the raw voxels are known after the second step."""
    convert = {"stage": "convert", "engine": "dcm2niix", "version": "1.0"}
    orient = {"stage": "orient", "engine": "nibabel", "version": "5.4", "content": "same"}
    steps = ([convert, orient], [orient])
    images = [(f"s{n}", "bl", sidecar() | {"steps": made}) for n, made in enumerate(steps)]
    table = volume_table(images)
    check_engines(table)
    assert table["content"].tolist() == ["same", "same"]
    assert engines_used(table)["convert"] == {"dcm2niix 1.0": 1}
    images.append(("s9", "bl", sidecar() | {"steps": [convert | {"version": "2.0"}, orient]}))
    with pytest.raises(InputError, match="convert"):
        check_engines(volume_table(images))

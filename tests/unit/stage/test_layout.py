from pathlib import Path

from pipeline.stage import layout


def test_paths_are_bids_like():
    assert layout.volume("adni", "skull_refine", "023S0030", "m12") == (
        "adni/skull_refine/sub-023S0030/ses-m12/sub-023S0030_ses-m12_desc-skullrefine_T1w.nii.gz"
    )
    assert layout.pair("adni", "023S0030", "m12", "bl", "mask.nii.gz") == (
        "adni/pairs/sub-023S0030/sub-023S0030_ses-m12_from-bl_mask.nii.gz"
    )
    assert layout.true_field("truth", "a", "m12", "total") == Path(
        "truth/sub-a/ses-m12_total.nii.gz"
    )
    assert layout.figure("copd", "best", "details", "svg") == "figures/copd/best_details.svg"

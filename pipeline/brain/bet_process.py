"""The process in which the BET port runs: head file, mask file, threshold.

It stands alone, so that a crash of the port ends this process only, and imports the port (numba,
trimesh) only when it runs.
"""

import sys

# Depths, in mm, at which the surface looks inwards for the darkest and the brightest value.
DARKEST_DEPTH_MM = 7.0
BRIGHTEST_DEPTH_MM = 3.0


def port_threshold(fraction: float) -> float:
    """Threshold of the port that does what FSL's fraction does.

    Parameters
    ----------
    fraction
        FSL's fractional intensity threshold, 0..1.

    Returns
    -------
    float
        The port's ``bt``; 0.25 becomes 0.683.
    """
    return fraction**0.275


def main(head: str, mask: str, threshold: str) -> None:
    """Run the port on a 1 mm isotropic, zero-padded head and write its mask."""
    import nibabel as nib
    from brainextractor import BrainExtractor

    extractor = BrainExtractor(
        nib.load(head), bt=float(threshold), d1=DARKEST_DEPTH_MM, d2=BRIGHTEST_DEPTH_MM
    )
    extractor.run()
    extractor.save_mask(mask)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""From prepared images to packed arrays: longitudinal pairs, packing, the packed data set."""

"""Deformation fields as explanations of disease evidence: from raw studies to Table 1."""

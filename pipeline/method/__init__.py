"""The paper's method and its baseline: networks, losses, training."""

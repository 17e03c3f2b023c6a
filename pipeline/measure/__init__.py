"""Measurements of the pipeline itself: speed, and agreement of engines."""

"""Panels that pictures are made of."""

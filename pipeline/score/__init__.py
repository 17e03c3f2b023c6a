"""Scores of the explanations and the table made of them."""

"""The paper's method: networks, losses, training, and explanations by trained models."""

from pipeline.method.explain import ImageExplanation, explain_image, load_generator
from pipeline.method.generator import Generator

__all__ = ["Generator", "ImageExplanation", "explain_image", "load_generator"]

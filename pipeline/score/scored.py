"""What is scored: the methods of the registry, and explanations to compare them with."""

from pipeline.method.registry import METHODS

TRUE_DEFORMATION = "true deformation"
# Of credibility: explanations of a pair by a model (of the diseased, the healthy and the modified
# image, and by random weights), and classifiers that judge.
EXPLANATIONS, JUDGES = 4, 2
# Of a classifier (`pipeline.score.classifier`).
ATTRIBUTIONS = {
    "integrated gradients": "integrated gradients",
    "guided backpropagation": "guided backpropagation",
    "grad-cam": "Grad-CAM",
    "occlusion": "occlusion",
}


def scored_titles() -> dict[str, str]:
    """Titles by name, in the order of the tables."""
    methods = {name: method.title for name, method in METHODS.items()}
    return {TRUE_DEFORMATION: TRUE_DEFORMATION, **ATTRIBUTIONS, **methods}


def is_seeded(name: str) -> bool:
    """Whether chance has a part in what is scored, so that other seeds would score otherwise."""
    if name in METHODS:
        return METHODS[name].seeded
    return name != TRUE_DEFORMATION

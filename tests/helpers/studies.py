"""What made-up data sets say of themselves."""

ADNI = {
    "title": "ADNI",
    "modality": "brain",
    "disease": {"name": "Alzheimer's disease", "healthy": "MCI", "diseased": "AD"},
}
COPD = {
    "title": "COPD",
    "modality": "chest",
    "disease": {"name": "COPD", "healthy": "normal", "diseased": "COPD"},
}
TOY = {
    "title": "Toy squares",
    "modality": "image",
    "disease": {"name": "small size", "healthy": "large", "diseased": "small"},
}

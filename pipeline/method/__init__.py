"""The methods: their registry, networks, losses, training, and explanations by fitted models."""

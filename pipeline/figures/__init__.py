"""Pictures of the explanations."""

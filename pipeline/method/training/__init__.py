"""Training: batches, updates, states to go on from."""

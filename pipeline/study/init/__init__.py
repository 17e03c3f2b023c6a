"""A first look at the data of a study, and the smallest configuration that it needs."""

"""A study as a whole: its configuration, cost and progress, and the place where it runs."""

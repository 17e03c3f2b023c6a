"""Raw films and their headers."""

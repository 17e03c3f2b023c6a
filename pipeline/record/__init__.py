"""Where results come from: provenance, the methods in words, the RO-Crate."""

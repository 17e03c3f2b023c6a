"""Brain MRI preprocessing, one module a stage."""

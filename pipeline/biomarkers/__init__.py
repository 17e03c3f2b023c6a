"""What the displacement fields say of the disease, counted: volumes, widths, heights."""

"""What every stage needs: errors, atomic files, sidecars, limits, paths, exclusions."""

"""Products with powers of two."""

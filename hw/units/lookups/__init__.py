"""Products from tables of the products of pieces."""

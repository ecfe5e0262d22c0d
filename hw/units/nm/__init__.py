"""Products with at most n of m neighbouring weights."""

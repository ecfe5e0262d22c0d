"""Products with sparse weights: rows over elements."""

"""Weight sharing: many weights, few numbers. Codebooks of scalars and of vectors, and hashing."""

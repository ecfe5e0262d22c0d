"""Pruning: weights, N:M groups and units that a network can do without."""

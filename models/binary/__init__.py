"""Weights of two and three values."""

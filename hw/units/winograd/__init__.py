"""Convolutions in tiles by minimal filters."""

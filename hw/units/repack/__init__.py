"""Converters between tiles."""

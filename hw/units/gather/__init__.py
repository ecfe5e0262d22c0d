"""Static rearrangement."""

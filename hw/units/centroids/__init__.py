"""Products by sums of inputs that share a weight."""

"""Matrix products with dense weights: any width, folded or wired."""

"""Quantizers of weights and activations, and what a network is without or after them."""

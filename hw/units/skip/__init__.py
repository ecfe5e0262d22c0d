"""Products that skip zero activations."""

"""Entropy coding, and the small file that hwc reads back exactly."""

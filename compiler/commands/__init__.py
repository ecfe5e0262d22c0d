"""The commands of `hwc`, one module each."""

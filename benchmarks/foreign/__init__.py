"""The networks of benchmarks/foreign.py: where they come from and how their files are made."""

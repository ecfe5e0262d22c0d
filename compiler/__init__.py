"""Front ends, lowering, mapping, build and the command line.

Imports nothing: the lower layers import `hwc.compiler.graph`, and that runs this file.
"""

"""The line buffer that cuts windows."""

"""The boards: one file each, found by `hwc.boards.board.names()` and `get(name)`."""

"""From the integer graph to a network of units that fits a board."""

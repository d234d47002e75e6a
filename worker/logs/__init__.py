"""Log lines: their format, their bounds, and what is removed from them."""

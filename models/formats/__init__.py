"""Hash lists as others write them: streaming parsers, and what we write ourselves."""

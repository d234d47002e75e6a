"""Who asks for something, and as what."""

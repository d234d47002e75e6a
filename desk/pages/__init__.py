"""Pages: routes that read, render and redirect."""

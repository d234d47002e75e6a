"""`livewarden doctor`: checks of all that a deployment needs."""

"""What a deployment needs, checked: `livewarden doctor`."""

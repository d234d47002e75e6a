"""The command line `livewarden`."""

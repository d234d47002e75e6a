"""The demo: all steps of a segment on one machine, with nothing installed but livewarden."""

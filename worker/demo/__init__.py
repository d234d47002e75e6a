"""The demo: the whole way of a segment on one machine, with nothing installed but livewarden."""

"""People who use Livewarden, and their roles."""

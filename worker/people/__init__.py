"""People who use Livewarden: the roster, their roles and their tokens."""

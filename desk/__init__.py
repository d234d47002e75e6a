"""The moderators' web application. Until it is built, `livewarden queue` is how a person works the queue."""

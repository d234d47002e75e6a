"""What platforms send to the queue `intake`: read, checked, applied."""

"""Ways in which players show a decoded picture, and the planes that are handed over of it."""

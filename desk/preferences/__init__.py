"""Personal settings of the desk."""

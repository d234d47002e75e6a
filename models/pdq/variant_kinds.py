"""Transformations of a picture before it is hashed."""

from enum import StrEnum


class Variant(StrEnum):
    """Transformed pictures that a list is searched for as well; their hashes come from the transformed picture."""

    MIRROR = "mirror"
    """Left to right, upside down, and across either diagonal (transposed): with ROTATE all eight orientations."""
    ROTATE = "rotate"
    """By 90, 180 and 270 degrees."""
    CROP = "crop"
    """Inside its bars and borders, and continued by what may have been cropped off."""

"""PDQ, the perceptual hash: of a picture, and of its transformed variants."""

"""PDQ, the perceptual hash: of a picture, and of the picture turned."""

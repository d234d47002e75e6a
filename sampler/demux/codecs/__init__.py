"""Headers of codecs: what packets say of their pictures."""

"""Which pictures are worth decoding, decided from packets alone."""

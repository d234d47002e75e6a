"""The bytes of a segment into packets, read without decoding."""

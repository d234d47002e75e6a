"""The choice of pictures to decode, from packets alone."""

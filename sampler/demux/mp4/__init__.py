"""Boxes of MP4, read beside FFmpeg."""

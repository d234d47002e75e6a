"""MPEG-TS, read beside FFmpeg: for what it passes over, and for floods before it reads them."""

"""The process that demuxes and decodes, confined, and the handle on it."""

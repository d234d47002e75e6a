"""The operating system's process: threads, core dumps, time limits, subprocesses."""

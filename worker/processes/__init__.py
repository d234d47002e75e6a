"""Operating-system processes: BLAS threads, core dumps, soft time limits, subprocesses."""

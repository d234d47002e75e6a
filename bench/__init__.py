"""Benchmarks: `make bench`. Each one measures, in one run, the ratio of our cost to that of alternatives."""

from bench.real_time import forgo_real_time

forgo_real_time()

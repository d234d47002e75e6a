"""Benchmarks: `make bench`. Each one measures, in one run, the ratio of our cost to that of alternatives."""

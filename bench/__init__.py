"""Benchmarks: `make bench`. Each one measures ratios in one run, against what others would do in our place."""

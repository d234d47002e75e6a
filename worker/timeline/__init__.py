"""Timelines of cases: coverage, samples and findings of a stream while a case of it is open, and their drawing."""

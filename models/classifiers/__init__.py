"""Classifiers: model packages, their manifests and weights, and scores of pictures."""

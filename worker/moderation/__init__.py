"""From a segment's bytes to its verdict: the pipeline, the near-duplicate gate, the classifiers, the accounting."""

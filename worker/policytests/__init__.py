"""Test cases of a policy: streams made up in YAML, and what a policy raises on them."""

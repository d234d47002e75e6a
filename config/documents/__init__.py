"""YAML files that operators write: what their aliases stand for, and where in them a mistake is."""

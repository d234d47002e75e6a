"""YAML files that operators write, and where in them a mistake is."""

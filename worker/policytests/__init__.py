"""Test cases of a policy: streams made up in YAML, and the incidents that it must raise on them."""

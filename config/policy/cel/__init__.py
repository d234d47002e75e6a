"""Conditions of rules: CEL read into trees, checked, bounded in cost, and evaluated."""

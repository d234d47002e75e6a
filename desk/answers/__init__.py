"""Answers for reports that people gave, in the desk's database."""

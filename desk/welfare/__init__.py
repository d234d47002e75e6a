"""Welfare of the people at the desk: what they saw today, for themselves alone, and the team's breaks."""

"""Pictures of a case: what their tiles say, how they open reduced, and how they are shown clear."""

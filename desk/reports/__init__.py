"""Reports of a case: the answers that only people can give, drafts, what was reported, and the package."""

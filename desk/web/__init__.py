"""The guard in front of pages: headers, limits, origins, forms, sessions and roles."""

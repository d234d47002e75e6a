"""The desk: the web application in which people judge incidents."""

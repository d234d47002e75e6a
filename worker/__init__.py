"""The way of a segment: registry, poll, segment, verdict, incident, queue."""

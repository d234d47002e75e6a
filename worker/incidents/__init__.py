"""From hits to incidents and events, and the end of a segment, which publishes them."""

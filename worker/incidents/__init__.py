"""From hits to incidents and events, and the commit of a segment, which publishes them."""

"""What an operator decides: settings, the moderation policy, and the shape of the events."""

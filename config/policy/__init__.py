"""The moderation policy: its rules, what they ask of a sample, and when a person is called."""

"""The moderation policy: its rules, their conditions on samples, and when a person is called."""

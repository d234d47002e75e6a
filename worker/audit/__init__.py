"""The audit log: every act of a person, append-only and chained by SHA-256."""

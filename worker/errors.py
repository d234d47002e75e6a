"""What can go wrong on the way of a segment.

LivewardenError
└── WorkerError
    ├── RegistryError            a stream that cannot be registered, or is not known
    └── StoreError               Redis is away, full, or not set up to keep what it is told
"""

from config.errors import LivewardenError


class WorkerError(LivewardenError):
    """The root of this package's tree."""


class RegistryError(WorkerError):
    """A stream that cannot be registered as asked, or is not known; the text names the field."""


class StoreError(WorkerError):
    """Redis is away, full, or does not keep what it is told."""

"""The errors of this package.

LivewardenError
└── WorkerError
    ├── RegistryError            a stream that cannot be registered, or is not known
    ├── IntakeError              a message of a platform that is refused
    ├── StoreError               Redis is away, full, or does not keep what is written
    │   └── UnconfirmedTokenError  a new token of a person that may be in force
    ├── ObjectStoreError         the store of whole files is away, full or not usable
    ├── QueueError               the queue refuses a person's request
    │   └── LookError            a look at a stream that gives no picture, or none yet
    ├── PeopleError              the roster does not have this person, or not in this role
    ├── OriginEntryError         an entry of the allowed origins that names nothing
    ├── FetchError               bytes that could not be fetched from an origin
    ├── PlaylistError            bytes that are not a playlist which can be watched
    ├── LocalFileError           a file named on the command line that cannot be read or written
    ├── BankRequestError         the bank refuses a person's request
    ├── DraftError               a draft or package of a case that is refused
    ├── RetentionError           a hold, report, purge or erasure that is refused
    ├── ConfinementError         the decoder child cannot be confined here, and the operator requires it
    ├── EvidenceError            evidence that cannot be sealed, kept, opened or believed
    ├── LeaseLostError           background work took longer than its lease, and another has it now
    ├── ScanError                a scan that could not read anything, or whose input is not there
    ├── InsightError             a report on a period that cannot be made as asked
    ├── ReplayError              a policy that cannot be replayed, or test cases that cannot be read
    └── DemoError                the demo cannot start, or fails

OutOfTimeError (a BaseException)     the task's soft time limit struck
"""

from config.errors import LivewardenError


class OutOfTimeError(BaseException):
    """The task's soft time limit struck (`worker.processes.soft_limit`).

    It comes from a signal handler, at any place, and is about neither the work in hand nor its data: no `Exception`,
    for nothing but the task may catch it.
    """


class WorkerError(LivewardenError):
    """The root of this package's tree."""


class RegistryError(WorkerError):
    """A stream that cannot be registered as asked, or is not known; the text names the field."""


class IntakeError(WorkerError):
    """A message in `intake` that is refused; the text says what was expected, and quotes no password or token."""

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(text, reason)
        self.text = text
        self.reason = reason
        """`too_large`, `malformed`, `compressed`, `content_type`, `unknown_task`, `delayed`, `workflow`, `expired`,
        `arguments`, `refused` (by the function that was called) or `internal`."""

    def __str__(self) -> str:
        return self.text


class StoreError(WorkerError):
    """Redis is away, full, or does not keep what is written."""


class UnconfirmedTokenError(StoreError):
    """Redis did not say whether a person's new token is in force; nothing else has it."""

    def __init__(self, text: str, *, token: str) -> None:
        super().__init__(f"{text}: the new token may be in force: try it, and keep the one before until then")
        self.token = token


class ObjectStoreError(WorkerError):
    """The store of whole files (LIVEWARDEN_STORE_URL) is away, full or not usable; the text names the purpose."""

    def __init__(self, text: str, *, missing: bool = False, damaged: bool = False) -> None:
        super().__init__(text)
        self.missing = missing
        """There is no such file: it may have been purged meanwhile."""
        self.damaged = damaged
        """The store answered, and the content of the file cannot be used."""


class QueueError(WorkerError):
    """The queue refuses a person's request; the text has the reason, and the earlier act of another person."""


class LookError(QueueError):
    """A look at a stream is refused, or ended without a picture; the text has the reason."""

    def __init__(self, text: str, *, reason: str, wait_seconds: int = 0) -> None:
        super().__init__(text)
        self.reason = reason
        """A slug: `decided`, `busy`, `full`, `forgotten`, `no-worker`, one of `worker.queue.looks.REASONS`, or that of
        a failed fetch."""
        self.wait_seconds = wait_seconds
        """Until the stream may have another look; 0: not known."""


class PeopleError(WorkerError):
    """The roster refuses a person, or a change of itself; the text names the person, and quotes no token."""


class OriginEntryError(WorkerError):
    """An entry of the allowed origins that names no host, port or network; the text quotes it."""


class FetchError(WorkerError):
    """Bytes that could not be fetched from an origin.

    The text names the URL without its query, where signed tokens are, and what was expected.
    """

    def __init__(self, text: str, reason: str) -> None:
        # Both go to `args`: a pool child pickles what a task raises.
        super().__init__(text, reason)
        self.text = text
        self.reason = reason
        """For the ledger: `refused_origin`, `bad_url`, `unreachable`, `timeout`, `too_large`, `redirect_loop`,
        `bad_response`, `http_<status>`, or `internal`: a bug of Livewarden or of a library, which is logged."""

    def __str__(self) -> str:
        return self.text

    @property
    def gone(self) -> bool:
        """The origin does not have this, so that another request is no use."""
        return self.reason in {"http_404", "http_410"}


class PlaylistError(WorkerError):
    """Bytes that are not a playlist which can be watched; the text names the URL, the line where known, and what was
    expected there."""

    reason = "malformed"


class LocalFileError(WorkerError):
    """A file that a person named on the command line cannot be read or written; the text names it."""


class BankRequestError(WorkerError):
    """The bank refuses a person's request; the text names list, entry, person or role, and never a hash."""


class DraftError(WorkerError):
    """A draft or package of a case that is refused, or answers for one that cannot be read; the text has the reason."""


class RetentionError(WorkerError):
    """A hold, a report, a purge or an erasure that is refused; the text names the incident, case or stream, and why."""


class ConfinementError(WorkerError):
    """The decoder child cannot be confined on this machine, and LIVEWARDEN_REQUIRE_CONFINEMENT is set."""


class EvidenceError(WorkerError):
    """Evidence that cannot be sealed, kept, opened or believed; the text names the file, line or item, and never a key
    or anything of a picture."""

    def __init__(self, text: str, *, reason: str) -> None:
        super().__init__(text)
        self.reason = reason
        """A slug, for `data.evidence_none` and, after `evidence-`, for `degraded`: `no-recipients`, `recipients` (the
        file cannot be used), `picture`, `spool` (it cannot be written), `spool-full`, `identity`, `missing`,
        `not-for-you`, `damaged` or `swapped`."""


class LeaseLostError(WorkerError):
    """Work that only one process may do at a time lost its lease in Redis; nothing of it took effect."""


class ScanError(WorkerError):
    """A scan that could not read anything, or whose input does not exist; the text has the reason."""


class InsightError(WorkerError):
    """A report on a period that cannot be made as asked; the text names the option."""


class ReplayError(WorkerError):
    """A policy that cannot be replayed, or test cases that cannot be read; the text has the reason."""


class DemoError(WorkerError):
    """The demo cannot start, one of its processes ended, or it found nothing; the text has the end of its log."""

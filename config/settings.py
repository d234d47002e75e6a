"""Settings: one frozen object, read once from a mapping (the process's environment, at the entry point)."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from config.errors import SettingsError
from config.variables import PREFIX as PREFIX

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_EXPECTED = {
    "bool_parsing": "expected 1 or 0",
    "int_parsing": "expected a whole number",
    "int_parsing_size": "expected a smaller number",
    "float_parsing": "expected a number",
    "greater_than_equal": "expected at least {ge:g}",
    "less_than_equal": "expected at most {le:g}",
    "literal_error": "expected {expected}",
    "string_pattern_mismatch": "expected the name of a header",
    "string_unicode": "expected a text in UTF-8",
    "value_error": "{error}",
}
"""Texts for pydantic's types of mistakes; none quotes the value."""

_DEPLOYMENT = re.compile(r"[A-Za-z0-9._-]{1,64}")
_REDIS_SCHEMES = frozenset({"redis", "rediss", "unix"})

DEFAULT_MAX_STREAMS = 10_000
"""Watched at once. With the longest URL and notes each is 20 kB in Redis: 200 MB."""

DEFAULT_SPOOL_BYTES = 1_000_000_000
"""About 10,000 pictures of 100 kB."""


LONGEST_WAIT_SECONDS: Final = 7 * 86_400
"""A longer wait of a case is taken for a mistake."""


class Settings(BaseModel):
    """Settings of an operator, from the environment; each field `x` is the variable `LIVEWARDEN_X`.

    Durations are in seconds, sizes in bytes.
    """

    # Of a wrong value no text quotes more than its name: it may be a password.
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    redis_url: SecretStr = SecretStr("redis://127.0.0.1:6379/0")
    """Redis server of state, queues and Celery's broker. Secret, since it may carry a password."""

    redis_username: str = ""
    """User of Redis's ACL, for a `redis_url` without one. Empty: the URL's own, or Redis's default user."""

    redis_password_file: Path | None = None
    """File with that user's password; read by `config.environment.load_settings`. None: the URL's own, or none."""

    url_template: str = ""
    """Playlist of a stream that was enqueued without a URL; `{stream_id}` is filled in percent-encoded."""

    lists_dir: Path | None = None
    """Folder of hash lists: `NAME.csv` is the list NAME. None: only `selftest`."""

    bank_dir: Path | None = None
    """Folder of the hash bank's snapshots, which all processes of a host share; other hosts come by them through the
    store. None: in ~/.local/state/livewarden/bank, for a deployment on one machine."""

    policy_file: Path | None = None
    """The moderation policy. None: the one shipped as config/policy.yaml."""

    manifests_dir: Path | None = None
    """Folder of the operator's own classifier manifests. None: those that livewarden ships and packages bring in."""

    provider: Literal["cpu", "cuda"] = "cpu"
    """Execution provider of classifiers. `cuda` needs onnxruntime-gpu and its libraries."""

    deployment: str = "local"
    """Names this deployment in the `source` of every event: `/livewarden/<deployment>`."""

    allowed_origins: tuple[str, ...] = ()
    """Names, addresses and networks (CIDR), each with `:port` or for 80 and 443, that may be fetched from; a name at
    public addresses, and at those on the list. Empty: public addresses only. `worker.ingest.http.origins` reads
    them."""

    legal_basis: str = ""
    """Documented legal basis for watching private streams. Empty: streams of audience `private` are refused."""

    max_streams: int = Field(default=DEFAULT_MAX_STREAMS, ge=1)
    """Watched at the same time; one more is refused. Bounds the load on Redis and workers by registrations."""

    rendition_height_pixels: int = Field(default=360, ge=1)
    """The smallest rendition of a master playlist at or above this height is watched."""

    store_url: str = Field(default="~/.local/state/livewarden/store", min_length=1)
    """Place of the verdict log, and of the bank's snapshots for other hosts: a folder, or a URL of fsspec's
    (s3://bucket/path; its package has to be there)."""

    verdict_log_hours: float = Field(default=24.0, ge=1, le=24 * 366)
    """Retention of the verdict log, and the time that a look-back for a new hash covers."""

    evidence_recipients: Path | None = None
    """File of the public keys (age1…, one a line) that pictures behind incidents are sealed to. None: no picture is
    kept, and events say so."""

    evidence_identity: Path | None = None
    """File of the private key that opens them; for people's commands. A worker that has it refuses to start."""

    spool_dir: Path | None = None
    """Folder where sealed pictures wait for the store, on a local disk that all processes of a host share. None: in
    ~/.local/state/livewarden/spool."""

    spool_bytes: int = Field(default=DEFAULT_SPOOL_BYTES, ge=1_000_000)
    """Bound of the spool: when it is full, context pictures go first, the oldest first; then new ones are refused."""

    require_confinement: bool = False
    """A worker refuses to start where its decoder child cannot be confined (seccomp, resource limits). False:
    it starts, logs it, and marks events `degraded: decoder-unconfined`."""

    log_format: Literal["console", "json"] = "console"
    """Form of log lines of all processes: for people, or one JSON object a line."""

    heartbeat_file: Path | None = None
    """Touched while the worker's or beat's loop turns, for a container's health check. None: no such file."""

    wait_critical_seconds: int = Field(default=300, ge=10, le=LONGEST_WAIT_SECONDS)
    """The longest wait of a critical case; past it, the case has its share of turns (`worker.queue.case_order`)."""

    wait_high_seconds: int = Field(default=900, ge=10, le=LONGEST_WAIT_SECONDS)
    """The longest wait of a case of high severity."""

    wait_review_seconds: int = Field(default=1800, ge=10, le=LONGEST_WAIT_SECONDS)
    """The longest wait of a case for review."""

    token: SecretStr = SecretStr("")
    """Token of the person who runs a command with `--by`, where there is a roster. Empty: `token_file`."""

    token_file: Path | None = None
    """File with that token; `worker.cli.options` reads it. None: `token`."""

    desk_url: str = "http://127.0.0.1:8300"
    """Origin at which browsers reach the desk; no other host is served. By https:// its cookies are Secure."""

    desk_listen: str = "127.0.0.1:8300"
    """Address and port that the desk listens on."""

    desk_database_url: SecretStr = SecretStr("sqlite:///~/.local/state/livewarden/desk.db")
    """The desk's database. Secret, since it may carry a password."""

    desk_proxy_from: tuple[str, ...] = ()
    """Addresses and networks of the reverse proxy in front of the desk; `desk.deployment` reads them. Empty: none."""

    desk_proxy_header: str = Field(default="", pattern=r"^[A-Za-z0-9-]{0,64}$")
    """Header in which that proxy names the person. Empty: people sign in with passwords."""

    desk_break_after_minutes: int = Field(default=0, ge=0, le=24 * 60)
    """Minutes at the desk after which the team's policy asks for a break. 0: the team has set none."""

    desk_break_minutes: int = Field(default=10, ge=1, le=24 * 60)
    """Minutes of that break."""

    desk_secret_file: Path | None = None
    """File with the secret under which proofs of people behind that proxy are sealed. None: no such people."""

    @field_validator("redis_url")
    @classmethod
    def _can_be_taken_apart(cls, value: SecretStr) -> SecretStr:
        """Checked here, since URL libraries quote in their errors what follows a colon, perhaps a password."""
        try:
            parts = urlsplit(value.get_secret_value())
            # Celery takes the path for the database, a number; of unix:// it is the socket.
            database = parts.path.removeprefix("/") or "0"
            well_formed = parts.port != 0 and (parts.scheme == "unix" or (database.isascii() and database.isdigit()))
        except ValueError:
            well_formed = False
        if not well_formed:
            raise ValueError("expected redis://HOST:PORT/DATABASE, with / ? # @ % of a password percent-encoded")
        if parts.scheme not in _REDIS_SCHEMES:
            raise ValueError("expected redis://, rediss:// or unix://, HOST:PORT/DATABASE")
        return value

    @field_validator("deployment")
    @classmethod
    def _is_part_of_a_url(cls, value: str) -> str:
        if not _DEPLOYMENT.fullmatch(value):
            raise ValueError("expected 1 to 64 characters of A-Z a-z 0-9 . _ -")
        return value

    @field_validator("allowed_origins", "desk_proxy_from", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        """Commas or white space part the entries."""
        return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value

    @field_validator("evidence_recipients", "evidence_identity", mode="before")
    @classmethod
    def _names_a_file(cls, value: object) -> object:
        """A key itself would be in the environment of a process, and in the text of each error about the file."""
        if isinstance(value, str) and "AGE-SECRET-KEY-" in value.upper():
            raise ValueError("expected the name of a file, found a private key")
        return value

    @field_validator("url_template")
    @classmethod
    def _has_placeholder(cls, value: str) -> str:
        if value and "{stream_id}" not in value:
            raise ValueError("expected a URL with {stream_id} in it")
        return value

    @classmethod
    def from_mapping(cls, environment: Mapping[str, str]) -> Self:
        """Reads the settings from `environment`; an empty or blank variable is not set, and unknown ones are left out.

        Raises:
            SettingsError: naming every variable that is wrong.
        """
        settings, mistakes = cls.read(environment)
        if mistakes:
            raise SettingsError(*(f"{variable_of(field)}: {text}" for field, text in mistakes.items()))
        return settings

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> tuple[Self, dict[str, str]]:
        """As `from_mapping`, with what is wrong, by field: such a field has its default here."""
        values = {
            name.removeprefix(PREFIX).lower(): value
            for name, value in environment.items()
            if name.startswith(PREFIX) and value.strip()
        }
        try:
            return cls.model_validate(values), {}
        except ValidationError as error:
            mistakes = {str(mistake["loc"][0]): _told(mistake) for mistake in error.errors()}
        return cls.model_validate({field: value for field, value in values.items() if field not in mistakes}), mistakes


def variable_of(field: str) -> str:
    """The variable that sets a field."""
    return f"{PREFIX}{field.upper()}"


def _told(mistake: "ErrorDetails") -> str:
    expected = _EXPECTED.get(mistake["type"])
    return mistake["msg"] if expected is None else expected.format(**mistake.get("ctx", {}))

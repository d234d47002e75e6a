"""All variables `LIVEWARDEN_…`: what each sets, its default, and which processes read it.

docs/settings.md is made from this table (`python -m tools.settings_docs`). A new setting is a field of
`config.settings.Settings` and an entry here; tests compare both with docs/settings.md and with docker-compose.yml.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

PREFIX: Final = "LIVEWARDEN_"


class ReadBy(StrEnum):
    """The processes that read a variable, in the words of docs/settings.md."""

    ALL = "all processes"
    """Worker, beat and command line."""
    WORK = "worker, command line"
    SERVICES = "worker, beat"
    PEOPLE = "command line"
    """Secrets of people: compose hands them to the services of people only, never to a worker."""
    DESK = "desk"
    COMPOSE = "compose"
    TESTS = "tests"


@dataclass(frozen=True, kw_only=True)
class Variable:
    """One variable of the environment."""

    name: str
    sets: str
    """In the words of docs/settings.md (Markdown)."""
    default: str = ""
    """As it would be written into the variable; empty: there is none."""
    read_by: ReadBy = ReadBy.WORK


def _variable(name: str, sets: str, default: str = "", read_by: ReadBy = ReadBy.WORK) -> Variable:
    return Variable(name=PREFIX + name, sets=sets, default=default, read_by=read_by)


VARIABLES: Final = (
    _variable("REDIS_URL", "state, queues and Celery's broker", "redis://127.0.0.1:6379/0", ReadBy.ALL),
    _variable("REDIS_USERNAME", "Redis user, for a URL without one", read_by=ReadBy.ALL),
    _variable("REDIS_PASSWORD_FILE", "file with that user's password", read_by=ReadBy.ALL),
    _variable(
        "ALLOWED_ORIGINS",
        "names, addresses and networks that may be fetched from; unset: public addresses only",
    ),
    _variable(
        "BANK_DIR",
        "folder of the hash bank's snapshots, on a local disk that all processes of a host share; unset: "
        "`~/.local/state/livewarden/bank`, for one machine",
    ),
    _variable(
        "STORE_URL",
        "where sealed pictures, the audit log, the verdict log and snapshots for other hosts are kept: a folder, or a "
        "URL that fsspec reads",
        "~/.local/state/livewarden/store",
    ),
    _variable(
        "VERDICT_LOG_HOURS",
        "how long the verdict log is kept, and searched for new hashes: hours from 1 to 8,784 (a year)",
        "24",
    ),
    _variable(
        "EVIDENCE_RECIPIENTS",
        "file of the public keys that pictures behind incidents are sealed to ([evidence.md](evidence.md)); unset: no "
        "picture is kept",
    ),
    _variable(
        "EVIDENCE_IDENTITY",
        "file of the private key that opens them; a worker that has it does not start",
        read_by=ReadBy.PEOPLE,
    ),
    _variable(
        "SPOOL_DIR",
        "folder where sealed pictures wait for the store, on a local disk that all processes of a host share; unset: "
        "`~/.local/state/livewarden/spool`",
    ),
    _variable(
        "SPOOL_BYTES",
        "size of the spool, at least 1,000,000; when it is full, context pictures go first, the oldest first",
        "1000000000",
    ),
    _variable(
        "LISTS_DIR",
        "folder of small hash lists beside the bank: `NAME.csv` with the header `hash` or `hash,id` is the list NAME",
    ),
    _variable(
        "POLICY_FILE",
        "the moderation policy, which may be changed while workers run; unset: `config/policy.yaml`",
    ),
    _variable(
        "URL_TEMPLATE",
        "playlist of a stream that is enqueued without a URL: `https://cdn.example/{stream_id}/index.m3u8`",
    ),
    _variable("DEPLOYMENT", "names the deployment in each event's `source`", "local", ReadBy.ALL),
    _variable(
        "RENDITION_HEIGHT_PIXELS",
        "of a master playlist, the smallest rendition at or above this height that has pictures is watched",
        "360",
    ),
    _variable("MANIFESTS_DIR", "folder of your own classifier manifests, beside the shipped ones"),
    _variable("PROVIDER", "hardware that computes scores: `cpu`, or `cuda` where onnxruntime-gpu is installed", "cpu"),
    _variable(
        "MAX_STREAMS",
        "how many streams may be watched at the same time (20 kB of Redis each at most), at least 1",
        "10000",
    ),
    _variable("LEGAL_BASIS", "documents the legal basis for private streams; unset: they are refused"),
    _variable(
        "REQUIRE_CONFINEMENT",
        "1: a worker does not start where the decoder cannot be confined (compose sets it); 0: it logs that, and marks "
        "events `degraded: decoder-unconfined`",
        "0",
    ),
    _variable(
        "LOG_FORMAT",
        "how processes log: `console` or `json`, an object a line ([logs.md](logs.md))",
        "console",
        ReadBy.ALL,
    ),
    _variable(
        "HEARTBEAT_FILE",
        "file that a living worker or beat touches, for health checks (compose sets it)",
        read_by=ReadBy.SERVICES,
    ),
    _variable(
        "WAIT_CRITICAL_SECONDS", "longest wait of a critical case ([queue.md](queue.md#the-order-of-cases))", "300"
    ),
    _variable("WAIT_HIGH_SECONDS", "the same of a case of high severity", "900"),
    _variable("WAIT_REVIEW_SECONDS", "the same of a case for review", "1800"),
    _variable("TOKEN", "your token, for commands with `--by` ([people.md](people.md))", read_by=ReadBy.PEOPLE),
    _variable("TOKEN_FILE", "file with your token, instead of `LIVEWARDEN_TOKEN`", read_by=ReadBy.PEOPLE),
    _variable(
        "DESK_URL",
        "where browsers reach the desk: `https://HOST`, or `http://` on their own machine",
        "http://127.0.0.1:8300",
        ReadBy.DESK,
    ),
    _variable("DESK_LISTEN", "address and port that the desk listens on", "127.0.0.1:8300", ReadBy.DESK),
    _variable(
        "DESK_DATABASE_URL",
        "the desk's own database, accounts and settings of people: `sqlite:///FILE`, or "
        "`postgresql+psycopg://USER:PASSWORD@HOST/DATABASE` with the extra `livewarden[postgresql]`",
        "sqlite:///~/.local/state/livewarden/desk.db",
        ReadBy.DESK,
    ),
    _variable(
        "DESK_PROXY_FROM",
        "addresses and networks of the reverse proxy in front of the desk, whose X-Forwarded-For is believed",
        read_by=ReadBy.DESK,
    ),
    _variable(
        "DESK_PROXY_HEADER",
        "header in which that proxy names the person who is signed in there; unset: people sign in with passwords",
        read_by=ReadBy.DESK,
    ),
    _variable(
        "DESK_BREAK_AFTER_MINUTES",
        "minutes at the desk after which your team's policy asks for a break; the desk shows it and locks nobody out; "
        "0: none",
        "0",
        ReadBy.DESK,
    ),
    _variable("DESK_BREAK_MINUTES", "minutes of that break", "10", ReadBy.DESK),
    _variable(
        "DESK_SECRET_FILE",
        "file with at least 32 random characters, for `LIVEWARDEN_DESK_PROXY_HEADER`",
        read_by=ReadBy.DESK,
    ),
    _variable(
        "CONFIG_DIR",
        "folder of the host that containers see as `/etc/livewarden`: policy, lists, manifests and public keys",
        "./deployment",
        ReadBy.COMPOSE,
    ),
    _variable(
        "DESK_IDENTITY",
        "file of the host with the private key with which the desk opens pictures; unset: it shows none",
        "/dev/null",
        ReadBy.COMPOSE,
    ),
    _variable("REDIS_MAXMEMORY", "what Redis may use", "1gb", ReadBy.COMPOSE),
    _variable("REDIS_MEMORY_LIMIT", "what Redis's container may use: twice as much", "2gb", ReadBy.COMPOSE),
    _variable(
        "MODEL_PACKAGES",
        "packages with weights of optional models that the image is built with ([models.md](models.md))",
        read_by=ReadBy.COMPOSE,
    ),
    _variable("VERSION", "tag of the image that is built and run", "local", ReadBy.COMPOSE),
    _variable("SOAK_SECONDS", "how long the soak test lasts", "120", ReadBy.TESTS),
    _variable("FUZZ_ROUNDS", "how many mutated segments the fuzz test decodes", "150", ReadBy.TESTS),
    _variable("TEST_SESSION", "marks the processes of a test run", read_by=ReadBy.TESTS),
    _variable("TEST_TURNS", "folder of the locks by which a test runs alone", read_by=ReadBy.TESTS),
)

KNOWN: Final = {variable.name: variable for variable in VARIABLES}


def misspelt(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that are set and one typo away from a known name, each with that name. A name that differs in case
    alone is misspelt too."""
    found = {}
    for name, value in environment.items():
        if value and name not in KNOWN:
            meant = next((known for known in KNOWN if name.upper() == known or one_typo(name.upper(), known)), None)
            if meant is not None:
                found[name] = meant
    return found


def unknown(environment: Mapping[str, str]) -> dict[str, str | None]:
    """The variables `LIVEWARDEN_…` that are set and that this version does not read, each with the nearest known name
    if there is one; without those that are `misspelt`. They may be of a newer version."""
    wrong = misspelt(environment)
    names = sorted(name for name, value in environment.items() if value and name.startswith(PREFIX))
    return {name: _nearest(name) for name in names if name not in KNOWN and name not in wrong}


def _nearest(name: str) -> str | None:
    """The known name whose part behind the prefix is near: with the prefix, any two names would be alike."""
    near = difflib.get_close_matches(name.removeprefix(PREFIX), [known.removeprefix(PREFIX) for known in KNOWN], n=1)
    return PREFIX + near[0] if near else None


def one_typo(text: str, other: str) -> bool:
    """True if one character added, left out or replaced, or two neighbours swapped, make `other` of `text`
    (a Damerau–Levenshtein distance of 1)."""
    if text == other or abs(len(text) - len(other)) > 1:
        return False
    same = next((at for at, (one, two) in enumerate(zip(text, other, strict=False)) if one != two), None)
    if same is None:  # one of them begins with the other
        return True
    text, other = text[same:], other[same:]
    swapped = text[1::-1] == other[:2] and text[2:] == other[2:]
    return swapped or text[1:] == other[1:] or text[1:] == other or text == other[1:]

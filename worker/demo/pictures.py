"""The picture behind the demo's first incident, as its reviewer sees it: blurred, and then clear, with a reason."""

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from redis import Redis
from rich.console import Console
from rich.text import Text

from config.settings import DEFAULT_SPOOL_BYTES
from worker.audit.entries import Act, Shown, append_entry, audit_entry
from worker.demo.stack import REVIEWER
from worker.evidence.evidence_store import EvidenceStore
from worker.evidence.picture import to_png
from worker.evidence.reading import EvidenceReader
from worker.evidence.sealing import Identity
from worker.evidence.spool import Spool
from worker.store.object_store import ObjectStore

COLUMNS = 48
"""Width of a drawn picture, in cells of the terminal: each is two points high."""

REASON = "to show the test card in the demo"


def show_picture(
    event: Mapping[str, Any], *, redis: Redis, environment: Mapping[str, str], console: Console, draws: bool
) -> None:
    """Opens the first picture of an incident with the reviewer's key, and prints how a reviewer does so.

    Args:
        environment: the reviewer's variables.
        draws: draws the picture, blurred and clear; the console shows colours.

    Raises:
        EvidenceError, ObjectStoreError, StoreError: the picture cannot be opened.
    """
    evidence = event["data"].get("evidence") or ()
    if not evidence:
        console.print(f"No picture of it is kept: {event['data'].get('evidence_none', 'unknown')}.", highlight=False)
        return
    ref = str(evidence[0]["ref"])
    reader = EvidenceReader(
        redis=redis,
        store=EvidenceStore(lambda: ObjectStore(environment["LIVEWARDEN_STORE_URL"])),
        spool=Spool(Path(environment["LIVEWARDEN_SPOOL_DIR"]), DEFAULT_SPOOL_BYTES),
    )
    _, head, jpeg = reader.open(ref, Identity.read(Path(environment["LIVEWARDEN_EVIDENCE_IDENTITY"])))
    console.print(
        f"Its picture ({head.width}×{head.height}, {head.reason}) is sealed: workers cannot open it, the reviewer can.",
        highlight=False,
    )
    of = {"incident": str(event["data"]["incident_id"]), "stream": head.stream_id}
    for clear, details in ((False, {"shown": Shown.BLURRED}), (True, {"shown": Shown.CLEAR, "reason": REASON})):
        entry = audit_entry(Act.VIEW, by=REVIEWER, verified=False, subject=ref, **of, **details)
        append_entry(redis, entry)
        png = to_png(jpeg, clear=clear)
        console.print("Clear, with a reason on record:" if clear else "Grey and blurred:", highlight=False)
        if draws:
            for line in drawn(png, COLUMNS):
                console.print(line)
        else:
            console.print(f"a PNG of {len(png):,} bytes", highlight=False)


def commands(ref: str, environment: Mapping[str, str]) -> Iterator[str]:
    """Yields lines for another terminal, which show a picture."""
    yield "export " + " ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items())
    yield f"livewarden evidence show {ref} --out blurred.png --by {REVIEWER}"
    yield f"livewarden evidence show {ref} --out clear.png --by {REVIEWER} --clear --reason {shlex.quote(REASON)}"


def drawn(png: bytes, columns: int) -> Iterator[Text]:
    """Yields the lines of a picture in half blocks, two points a cell."""
    decoded = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    height, width = decoded.shape[:2]
    rows = max(1, round(columns * height / width / 2))
    points = cv2.cvtColor(
        cv2.resize(decoded, (columns, 2 * rows), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB
    ).tolist()
    for row in range(rows):
        line = Text(no_wrap=True)
        for upper, lower in zip(points[2 * row], points[2 * row + 1], strict=True):
            line.append("▀", style=f"rgb({','.join(map(str, upper))}) on rgb({','.join(map(str, lower))})")
        yield line

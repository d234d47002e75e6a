"""Exports an incident's items, sealed as they are, for whoever holds a key: no key of Livewarden's is needed.

FOLDER/REF.age          sealed items
FOLDER/manifest.json    what they are, with digests
FOLDER/SHA256SUMS       for `sha256sum --check`
"""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from worker.errors import EvidenceError, LocalFileError, ObjectStoreError
from worker.evidence.item import digest_of
from worker.evidence.item_states import records_of
from worker.evidence.reading import EvidenceReader

MANIFEST: Final = "manifest.json"
SUMS: Final = "SHA256SUMS"


@dataclass(frozen=True, kw_only=True)
class Exported:
    """An export that was written."""

    files: int
    missing: tuple[str, ...]
    """Texts about items that could not be exported."""
    manifest_sha256: str


def export_incident(
    reader: EvidenceReader,
    incident: str,
    folder: Path,
    *,
    facts: Mapping[str, Any],
    record_act: Callable[[str, int], None],
) -> Exported:
    """Writes an incident's items into a new or empty folder.

    Args:
        facts: of the export, for the manifest: who, when, deployment.
        record_act: called with the manifest's SHA-256 and the number of items before anything is written; if it raises,
            nothing is.

    Raises:
        EvidenceError: the incident has no evidence.
        LocalFileError: the folder is not empty, or cannot be written.
        StoreError: Redis failed.
        Any error of `record_act`.
    """
    _expect_empty(folder)
    records = records_of(reader.redis, incident)
    if not records:
        raise EvidenceError(f"incident {incident}: there is no evidence of it", reason="missing")
    files: dict[str, bytes] = {}
    items, missing = [], []
    for record in records:
        try:
            found = reader.find(record.ref)
        except (EvidenceError, ObjectStoreError) as error:
            missing.append(str(error))
            continue
        files[f"{record.ref}.age"] = found.sealed
        items.append(
            {
                **record.to_event(),
                "file": f"{record.ref}.age",
                "sha256": digest_of(found.sealed),
                "former_sha256": list(record.former_sha256),
                "stream_id": record.stream_id,
                "segment": record.segment,
                "pts_seconds": record.pts_seconds,
                "rule": record.rule,
                "severity": record.severity,
            }
        )
    manifest = {
        "incident_id": incident,
        **facts,
        "items": items,
        "missing": missing,
        "format": "age-encryption.org/v1: one line of JSON, then a JPEG",
        "open_with": "age --decrypt --identity KEY_FILE FILE | tail --lines +2 > picture.jpg",
    }
    files[MANIFEST] = (json.dumps(manifest, indent=2) + "\n").encode()
    files[SUMS] = "".join(f"{digest_of(data)}  {name}\n" for name, data in files.items()).encode()
    record_act(digest_of(files[MANIFEST]), len(items))
    _write(folder, files)
    return Exported(files=len(items), missing=tuple(missing), manifest_sha256=digest_of(files[MANIFEST]))


def _expect_empty(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise LocalFileError(f"{folder}: expected a new or empty folder: an export is never mixed with another")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise LocalFileError(f"{folder}: cannot be written")
    except OSError as error:
        raise LocalFileError(f"{folder}: {error.strerror}") from error


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, data in files.items():
        path = folder / name
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
        except OSError as error:
            raise LocalFileError(f"{path}: {error.strerror}: the export is not complete") from error

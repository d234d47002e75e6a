"""The package of a case: a ZIP, sealed to a recipient's age key before it is written.

README.txt, verify.py       to begin with
manifest.json, SHA256SUMS   digests of everything
history.json                incidents as they are on record
decisions.json, hashes.json, reports.json
pictures/hit/REF.jpg        pictures by their role
pictures/context/REF.jpg
audit/entries.jsonl         entries of the audit log that name the case
audit/proof.json            heads of the log that were published
"""

import inspect
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from worker.drafts import verify_package
from worker.drafts.agreements import PackageAgreement
from worker.drafts.audit_extract import AuditExtract
from worker.drafts.case_report import CaseReport
from worker.errors import DraftError
from worker.evidence.item import digest_of

README: Final = "README.txt"
VERIFY: Final = "verify.py"

MAX_PICTURES_BYTES: Final = 512 * 1024 * 1024
"""Size of all pictures, <=: the package is made and sealed in memory, so that nothing of it is on a disk in the clear.
At 150 kB a picture it is 3,500."""

_MADE: Final = (1980, 1, 1, 0, 0, 0)
"""The time of every file, so that the same content is the same ZIP."""

_README: Final = """\
Case {case_id}, packaged {drafted} by Livewarden, deployment {deployment}.
{drill}
DRAFT: nothing was sent. This package was sealed for one recipient after two people agreed to it (manifest.json).

Do not open the pictures but in the course of your duties. They are exactly the files on record: a JPEG each, sampled
from a live stream, without metadata. `pictures/hit` has those on which a rule held, `pictures/context` what came before
or after. Pictures of incidents that people judged otherwise, or have not judged, are not here.

Verify it:

    python3 verify.py

This recomputes the digests of all files, and the hashes of the entries of the audit log. The log is a chain: each entry
has the hash of the one before it. Entries of other cases are left out, so the chain has gaps here. That no entry is
missing in a gap, and that these are the entries of the log, is shown by comparing them (number and hash), and the heads
in audit/proof.json, with the deployment's own log: `livewarden audit verify`. An entry of the act `package` there has
the SHA-256 of manifest.json. Entries of the last seconds before the packaging may not be here yet.
"""


@dataclass(frozen=True, kw_only=True)
class CasePackage:
    """A package, not sealed yet."""

    content: bytes = field(repr=False)
    """The ZIP."""
    manifest_sha256: str
    pictures: int


def build_package(
    case: CaseReport,
    *,
    pictures: Mapping[str, bytes],
    missing: Sequence[str] = (),
    audit: AuditExtract,
    agreements: Sequence[PackageAgreement],
    recipient: str,
) -> CasePackage:
    """Builds the package of a case.

    Args:
        pictures: JPEGs by reference; each is the one on record. Those of incidents that are not reported stay out.
        missing: texts about what could not be opened.

    Raises:
        DraftError: a picture is not the one on record, or all of them are too large.
    """
    files: dict[str, bytes] = {}
    listed = []
    for one in case.reported_pictures:
        jpeg = pictures.get(one.ref)
        if jpeg is None:
            continue
        if digest_of(jpeg) != one.picture_sha256:
            raise DraftError(f"case {case.case_id}: picture {one.ref} is not the one on record")
        name = f"pictures/{'hit' if one.kind == 'hit' else 'context'}/{one.ref}.jpg"
        files[name] = jpeg
        listed.append({"file": name, **vars(one), "seen_clear": case.seen_clear(one.ref)})
    if sum(map(len, files.values())) > MAX_PICTURES_BYTES:
        raise DraftError(f"case {case.case_id}: its pictures are over {MAX_PICTURES_BYTES} bytes together")
    files |= _records(case)
    files[verify_package.ENTRIES] = audit.to_lines()
    files[verify_package.PROOF] = audit.to_proof()
    files[VERIFY] = inspect.getsource(verify_package).encode()
    drill = "A DRILL: nothing of it is real.\n" if case.drill else ""
    files[README] = _README.format(
        case_id=case.case_id, drafted=case.drafted, deployment=case.deployment, drill=drill
    ).encode()
    manifest = {
        "draft": True,
        "drill": case.drill,
        "case_id": case.case_id,
        "deployment": case.deployment,
        "packaged": case.drafted,
        "recipient": recipient,
        "agreements": [one.described() for one in agreements],
        "pictures": listed,
        "missing": list(missing),
        "audit": {"entries": len(audit.entries), "unopened_segments": case.unopened_segments},
        "files": {name: {"sha256": digest_of(data), "bytes": len(data)} for name, data in sorted(files.items())},
    }
    files[verify_package.MANIFEST] = _json(manifest)
    sums = "".join(f"{digest_of(data)}  {name}\n" for name, data in sorted(files.items()))
    files[verify_package.SUMS] = sums.encode()
    return CasePackage(
        content=_zip(files), manifest_sha256=digest_of(files[verify_package.MANIFEST]), pictures=len(listed)
    )


def _records(case: CaseReport) -> dict[str, bytes]:
    """The files of what is on record, without pixels."""
    decisions = [
        {"incident_id": one.incident_id, "rule": one.rule, **vars(judged)}
        for one in case.incidents
        for judged in one.judgements
    ]
    hashes: list[dict[str, Any]] = [
        {"ref": one.ref, "incident_id": one.incident_id, "sha256": one.picture_sha256, "pdq": one.pdq or None}
        | {"sealed_sha256": one.sealed_sha256, "distance": one.distance}
        for one in case.reported_pictures
    ]
    history = {
        "stream_id": case.stream_id,
        "streams": list(case.streams),
        "metadata": dict(case.metadata),
        "incidents": [dict(one.record) for one in case.incidents],
        "no_record_of": list(case.unrecorded),
        "clear_views": [vars(one) for one in case.views],
    }
    return {
        "history.json": _json(history),
        "decisions.json": _json(decisions),
        "hashes.json": _json(hashes),
        "reports.json": _json([one.described() for one in case.reports]),
    }


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode()


def _zip(files: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo(name, date_time=_MADE)
            info.external_attr = 0o600 << 16
            # A JPEG does not become smaller.
            info.compress_type = zipfile.ZIP_STORED if name.endswith(".jpg") else zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    return packed.getvalue()

"""Verifies an unpacked package: `python3 verify.py` in its folder. It needs nothing but Python's standard library, no
network and no Livewarden; a copy of this file is in each package."""

import hashlib
import json
import sys
from pathlib import Path

SUMS = "SHA256SUMS"
MANIFEST = "manifest.json"
ENTRIES = "audit/entries.jsonl"
PROOF = "audit/proof.json"
FORM = "livewarden-audit-1"


def faults_in_package(folder: Path) -> list[str]:
    """Returns what does not agree; empty: all does."""
    try:
        return [*_sums(folder), *_pictures(folder), *_entries(folder)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return [f"the package cannot be read: {type(error).__name__}: {error}"]


def _sums(folder: Path) -> list[str]:
    """Compares every file with its digest; what has none was added."""
    found: list[str] = []
    listed = {}
    for line in (folder / SUMS).read_text().splitlines():
        digest, _, name = line.partition("  ")
        listed[name] = digest
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file() or path.is_symlink()}
    found += [f"{name}: is missing" for name in sorted(listed.keys() - there)]
    found += [f"{name}: was added" for name in sorted(there - listed.keys() - {SUMS})]
    for name in sorted(there & listed.keys()):
        path = folder / name
        if path.is_symlink():
            found.append(f"{name}: is a link")
        elif hashlib.sha256(path.read_bytes()).hexdigest() != listed[name]:
            found.append(f"{name}: was altered")
    return found


def _pictures(folder: Path) -> list[str]:
    """Compares each picture with the digest that was on record before it was packaged."""
    manifest = json.loads((folder / MANIFEST).read_text())
    return [
        f"{one['file']}: is not the picture on record"
        for one in manifest["pictures"]
        if (folder / one["file"]).is_file()
        and hashlib.sha256((folder / one["file"]).read_bytes()).hexdigest() != one["picture_sha256"]
    ]


def _entries(folder: Path) -> list[str]:
    """Recomputes the hash of each entry of the audit log, and follows the chain where entries follow one another."""
    found: list[str] = []
    proof = json.loads((folder / PROOF).read_text())
    entries = [json.loads(line) for line in (folder / ENTRIES).read_text().splitlines()]
    if len(entries) != proof["entries"]:
        found.append(f"{ENTRIES}: {len(entries)} entries, expected {proof['entries']}")
    heads = {(one["chain"], one["n"]): one["hash"] for one in proof["heads"]}
    before = None
    for entry in entries:
        chain, n = entry["chain"], entry["n"]
        content = json.dumps([FORM, chain, n, entry["previous"], entry["at_ms"], entry["entry"]])
        place = f"{ENTRIES}: entry {n} of chain {chain}"
        if hashlib.sha256(content.encode()).hexdigest() != entry["hash"]:
            found.append(f"{place}: was altered")
        if heads.get((chain, n), entry["hash"]) != entry["hash"]:
            found.append(f"{place}: is not the one that was published")
        if before is not None and before["chain"] == chain:
            if n <= before["n"]:
                found.append(f"{place}: is out of order")
            elif n == before["n"] + 1 and entry["previous"] != before["hash"]:
                found.append(f"{place}: does not follow the entry before it")
        before = entry
    return found


def main() -> int:
    """Prints what was found; status 1: something does not agree."""
    folder = Path(__file__).resolve().parent
    faults = faults_in_package(folder)
    for text in faults:
        sys.stdout.write(f"{text}\n")
    sys.stdout.write("this package does not agree with itself\n" if faults else "all files and entries agree\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

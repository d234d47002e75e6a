"""Vendored files are those that their packages have, with their licences."""

import hashlib
from pathlib import Path

import yaml

VENDOR = Path(__file__).parents[3] / "desk/static/vendor"


def test_vendored_files_have_their_digests_and_licences() -> None:
    """A script that somebody changed on the way would run beside evidence."""
    entries = yaml.safe_load((VENDOR / "vendored.yaml").read_text())
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in VENDOR.iterdir()}
    del found["vendored.yaml"]
    assert {one["file"]: one["sha256"] for one in entries} == found
    for one in entries:
        assert one["licence"] in {"0BSD", "MIT", "BSD-3-Clause", "Apache-2.0"}, one["file"]
        assert (VENDOR / one["licence_file"]).is_file(), one["file"]
        assert one["version"], one["file"]

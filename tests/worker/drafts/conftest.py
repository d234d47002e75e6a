"""Fixtures of drafts."""

from pathlib import Path

import pytest
from kept_evidence import KeptEvidence
from scene import Scene


@pytest.fixture
def kept(scene: Scene, tmp_path: Path) -> KeptEvidence:
    """A deployment without evidence yet."""
    return KeptEvidence(scene=scene, folder=tmp_path / "deployment")

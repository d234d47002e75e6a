"""ONNX Runtime sends nothing to its maker, and writes nothing beside what Livewarden writes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

# ONNX Runtime sends nothing where it takes itself to be in somebody's CI, so these variables are left out.
KEPT = ("PATH", "LD_LIBRARY_PATH", "LIVEWARDEN_TEST_SESSION")
RUN = """
import numpy as np
from models.classifiers.manifest import Provider
from models.classifiers.registry import chosen_packages, known_packages, verified
verified(chosen_packages(known_packages(None), None), Provider.CPU)
"""


@pytest.mark.parametrize("inherited", [{}, {"ORT_DISABLE_TELEMETRY": "0"}])
def test_onnx_runtime_leaves_no_telemetry(tmp_path: Path, inherited: dict[str, str]) -> None:
    """The maker of a library would learn which models a deployment runs, how often, and on which machines."""
    environment = {name: os.environ[name] for name in KEPT if name in os.environ}
    environment |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache"), **inherited}
    root = Path(__file__).parents[3]
    subprocess.run([sys.executable, "-c", RUN], env=environment, cwd=root, check=True)
    assert [str(path) for path in tmp_path.rglob("*")] == []

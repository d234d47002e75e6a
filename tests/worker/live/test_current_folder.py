"""`celery -A worker.app` in a folder whose files have the names of our packages."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hls_origin import eventually

CELERY = Path(sys.executable).with_name("celery")

SHADOWING = "import pathlib, sys\npathlib.Path(sys.argv[0] and {marker!r}).touch()\nsys.exit('shadowed by {name}')\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder such as projects have: packages and modules that end their importer, and leave a mark."""
    marker = str(tmp_path / "imported")
    folder = tmp_path / "here"
    for package in ("config", "worker", "sampler"):
        (folder / package).mkdir(parents=True)
        for module in ("__init__", "app", "settings", "environment", "child", "tasks"):
            (folder / package / f"{module}.py").write_text(SHADOWING.format(marker=marker, name=package))
    for module in ("models", "desk", "redis", "yaml", "numpy", "pydantic"):
        (folder / f"{module}.py").write_text(SHADOWING.format(marker=marker, name=module))
    return folder


@pytest.mark.parametrize(("role", "sign"), [("worker", " ready."), ("beat", "beat: Starting...")])
def test_nothing_of_the_current_folder_is_imported(
    folder: Path, environment: dict[str, str], role: str, sign: str
) -> None:
    """A project's own `config.py` would be imported in place of ours: no worker would start, or foreign code would run
    in it."""
    log = folder.parent / "log"
    options = ["--loglevel=INFO", *(["--concurrency=1"] if role == "worker" else [])]
    with log.open("wb") as written:
        process = subprocess.Popen(
            [CELERY, "-A", "worker.app", role, *options],
            env={**os.environ, "HOME": str(folder.parent), **environment},
            stdout=written,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=folder,
        )
    try:
        # A worker tries its models first, in their own process; its pool child starts the decoder's.
        eventually(lambda: sign in log.read_text() or process.poll() is not None, within_seconds=60, what=log.read_text)
        assert process.poll() is None, log.read_text()
    finally:
        process.terminate()
        process.wait(60)
    assert "shadowed" not in log.read_text()
    assert not (folder.parent / "imported").exists()

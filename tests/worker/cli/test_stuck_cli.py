"""Commands that run a model which never returns: they end, and report the reason."""

from pathlib import Path

import cv2
import pytest
from commandline import livewarden
from tinymodels import endless_model, install, labels, one_node_model

from models.testcard import testcard as draw_card

STUCK = "a run on a picture did not stop within 3 s after its limit of 1 s"
LIMITED = {"outputs": [{"labels": labels("only")}], "runtime": {"time_limit_seconds": 1.0}}


@pytest.fixture
def card(tmp_path: Path) -> Path:
    path = tmp_path / "card.png"
    cv2.imwrite(str(path), cv2.cvtColor(draw_card(640, 360), cv2.COLOR_RGB2BGR))
    return path


@pytest.mark.parametrize(("weights", "problem"), [(one_node_model(), STUCK), (endless_model(), "stopped after 1 s")])
def test_bench_ends_when_a_model_hangs(tmp_path: Path, weights: bytes, problem: str) -> None:
    """The command would hang, and could only be killed."""
    ran = livewarden("models", "bench", install(tmp_path, weights, **LIMITED), "--rounds", "1")
    assert ran.status == 2
    assert ran.err.splitlines()[-1].startswith(f"livewarden: means: {problem}")  # after ONNX Runtime's own
    assert "Traceback" not in ran.err


def test_explain_ends_when_a_model_hangs(tmp_path: Path, card: Path) -> None:
    """As above."""
    ran = livewarden("models", "explain", install(tmp_path, one_node_model(), **LIMITED), "--picture", card)
    assert ran.status == 2
    assert STUCK in ran.message


def test_scan_ends_when_a_model_hangs(tmp_path: Path, card: Path) -> None:
    """A platform's batch of uploads would hang at one file without naming the model."""
    folder = tmp_path / "models"
    folder.mkdir()
    install(folder, one_node_model(), **LIMITED)
    ran = livewarden("scan", card, environment={"LIVEWARDEN_MANIFESTS_DIR": str(folder)})
    assert ran.status == 2
    assert ran.message.startswith(f"means: {STUCK}")


def test_doctor_ends_when_a_model_hangs(tmp_path: Path) -> None:
    """The first command that an operator runs would hang like everything else."""
    install(tmp_path, one_node_model(), **LIMITED)
    environment = {"LIVEWARDEN_MANIFESTS_DIR": str(tmp_path), "LIVEWARDEN_REDIS_URL": "redis://127.0.0.1:1/0"}
    ran = livewarden("doctor", environment=environment)
    assert ran.status == 2
    assert ran.message.startswith(f"means: {STUCK}")

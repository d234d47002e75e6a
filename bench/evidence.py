"""The cost of evidence: `make bench`, or `python -m bench.evidence`. All parts are measured in turn, in one process.

Goal: a segment with one or two hits takes at most 20 ms longer, from the decoder's planes to the disk of the spool, for
pictures that two recipients may open. And, without a goal, the parts: JPEG, seal, spool; and the copy that each benign
picture costs, since the last one before a hit is its context. CPU is that of this thread: the rest is the disk, and
what else the machine does.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles

import cv2
import numpy as np
import skimage.data
import typer
from numpy.typing import NDArray
from pyrage import x25519
from rich import box
from rich.console import Console
from rich.table import Table

from config.facts import Hit, Severity, StreamFacts
from config.policy.policy import load_policy
from sampler.frames import SampleReason
from sampler.picture import Picture
from worker.evidence.recipients_file import RecipientsFile
from worker.evidence.sealing import Recipients
from worker.evidence.spool import Spool
from worker.incidents.segment_evidence import SegmentEvidence
from worker.moderation.evidence_capture import CaptureRequest, SegmentCapture
from worker.moderation.picture_encoder import PictureEncoder
from worker.moderation.verdict import SampleVerdict
from worker.runtime.evidence_writer import EvidenceWriter

BUDGET_MS = 20.0
"""Budget for a segment with hits."""
SIZES = ((640, 360), (1280, 720), (1920, 1080))
"""Width and height in pixels."""
RECIPIENTS = 2
RULE = "sexual-content"
"""A rule of the shipped policy that scores alone make hold."""
REPORT_COLUMNS = 120


def main(rounds: int = typer.Option(60, help="Measurements of each part.")) -> None:
    """Measures and prints both tables, goals first."""
    cv2.setNumThreads(1)  # as a worker
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = REPORT_COLUMNS
    title = "A segment with hits, ms longer: by the clock (median, slowest of 20), and CPU (median)"
    goals = _table(title, "pictures", "median", "p95", "CPU", "wanted", "")
    parts = _table("Parts, ms a picture (medians)", "size", "copy", "JPEG", "kB", "seal", "spool")
    recipients = Recipients([str(x25519.Identity.generate().to_public()) for _ in range(RECIPIENTS)])
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        bench = EvidenceBench(recipients, Path(folder), rounds)
        for width, height in SIZES:
            parts.add_row(f"{width} × {height}", *bench.parts(width, height))
            for pictures in (1, 2):
                clock, cpu = zip(*bench.segment(width, height, pictures), strict=True)
                met = "[green]met[/]" if median(clock) <= BUDGET_MS else "[red]missed[/]"
                slow = quantiles(clock, n=20)[-1]
                numbers = (f"{one:.1f}" for one in (median(clock), slow, median(cpu)))
                goals.add_row(f"{pictures} of {width} × {height}", *numbers, f"<= {BUDGET_MS:g}", met)
    for table in (goals, parts):
        console.print(table)


class EvidenceBench:
    """Measures evidence of harmless pictures."""

    def __init__(self, recipients: Recipients, folder: Path, rounds: int) -> None:
        self._recipients = recipients
        self._folder = folder
        self._rounds = rounds
        self._policy = load_policy(None)
        self._encoder = PictureEncoder()

    def parts(self, width: int, height: int) -> list[str]:
        """Milliseconds of each part, as the table has them."""
        picture = _scenes(width, height)[0]
        jpeg = self._encoder.jpeg(picture)
        evidence = self._evidence([picture])
        spool = Spool(self._folder / f"parts-{height}", 10**10)
        buffers = [np.empty_like(plane) for plane in picture.planes]

        def copy() -> None:
            for buffer, plane in zip(buffers, picture.planes, strict=True):
                np.copyto(buffer, plane)

        content = b"x" * 1000 + b"\n" + jpeg
        acts: tuple[Callable[[], object], ...] = (
            copy,
            lambda: self._encoder.jpeg(picture),
            lambda: self._recipients.encrypt(content),
            lambda: spool.put(evidence.items[:1]),
        )
        copied, encoded, sealed, put = (f"{self._median(act):.2f}" for act in acts)
        return [copied, encoded, f"{len(jpeg) / 1000:.0f}", sealed, put]

    def segment(self, width: int, height: int, pictures: int) -> list[tuple[float, float]]:
        """Milliseconds of each round, by the clock and of CPU: all that a segment with so many hits, each another
        picture, does for evidence."""
        shown = _scenes(width, height)[:pictures]
        writer = EvidenceWriter(RecipientsFile(None), Spool(self._folder / f"segment-{height}-{pictures}", 10**10))
        spent = []
        for _ in range(self._rounds):
            started, cpu = time.perf_counter(), time.process_time()
            kept = writer.keep(self._evidence(shown))
            spent.append(((time.perf_counter() - started) * 1000, (time.process_time() - cpu) * 1000))
            if kept.missing or len(kept.candidates) != pictures:
                raise SystemExit(f"{len(kept.candidates)} of {pictures} pictures were kept: {kept.missing}")
        return spent

    def _evidence(self, pictures: list[Picture]) -> SegmentEvidence:
        request = CaptureRequest(recipients=self._recipients, segment="1.0.sole.1.00", sealed_ms=0)
        of = StreamFacts(stream_id="bench")
        capture = SegmentCapture(request, self._policy, of, lists={}, encoder=self._encoder)
        for number, picture in enumerate(pictures):
            capture.offer(picture, hit_sample(number, picture))
        return capture.evidence()

    def _median(self, act: Callable[[], object]) -> float:
        spent = []
        for _ in range(self._rounds):
            started = time.perf_counter()
            act()
            spent.append((time.perf_counter() - started) * 1000)
        return median(spent)


def _scenes(width: int, height: int) -> list[Picture]:
    return [
        yuv_picture(np.asarray(getattr(skimage.data, name)(), np.uint8), width, height)
        for name in ("astronaut", "coffee")
    ]


def yuv_picture(rgb: NDArray[np.uint8], width: int, height: int) -> Picture:
    """A picture as the decoder gives it: three planes, 4:2:0, limited range."""
    shown = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)
    planes = np.asarray(cv2.cvtColor(shown, cv2.COLOR_RGB2YUV_I420), np.uint8).reshape(-1)
    luma, chroma = width * height, width * height // 4
    return Picture(
        planes=(
            planes[:luma].reshape(height, width),
            planes[luma : luma + chroma].reshape(height // 2, width // 2),
            planes[luma + chroma :].reshape(height // 2, width // 2),
        ),
        full_range=False,
        matrix="bt601",
    )


def hit_sample(number: int, picture: Picture) -> SampleVerdict:
    """A sample on which a rule holds by its score; each has another hash."""
    pdq = f"{number + 1:x}" * 64
    hit = Hit(
        rule=RULE,
        severity=Severity.REVIEW,
        capture_ms=number * 1000,
        pts_seconds=float(number),
        reason="keyframe",
        principles=(2, 5),
        scores={"open-nsfw/nsfw": 0.95},
        pdq=pdq,
    )
    return SampleVerdict(
        pts_seconds=float(number),
        capture_ms=number * 1000,
        reason=SampleReason.KEYFRAME,
        keyframe=True,
        width=picture.width,
        height=picture.height,
        pdq=pdq,
        pdq_quality=100,
        matches=(),
        scores=hit.scores,
        deduplicated=False,
        concealed=False,
        classified=True,
        flat=None,
        frozen=False,
        hits=(hit,),
    )


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, box=box.SIMPLE_HEAD)
    for place, column in enumerate(columns):
        table.add_column(column, justify="right" if place else "left")
    return table


if __name__ == "__main__":
    typer.run(main)

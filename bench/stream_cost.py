"""CPU of moderating a stream, the classifier included, and of a plain pipeline that does the same work."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Self

import av
import cv2
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from bench.hidden_clips import HiddenClip
from config.facts import StreamFacts
from config.policy.policy import load_policy
from config.profiles import SamplingProfile
from models.bank.bank import Bank
from models.classifiers.classifier import Classifier
from models.classifiers.registry import DEFAULT, known_packages
from models.pdq.pdq import hash_luma
from sampler.child.decoder import Decoder
from sampler.errors import InputError
from worker.bank.lists_in_force import ListsInForce, always
from worker.moderation.moderation_context import ModerationContext
from worker.moderation.pipeline import Pipeline
from worker.moderation.verdict import SegmentVerdict

PLAIN_SECONDS = 2
"""Distance of the pictures that the plain pipeline takes, as the gap of the profile `balanced`."""

LEAST_SECONDS = 1.0
"""CPU that is measured at least. The kernel tells that of other processes in ticks of 10 ms, of which one pass over 20
s of a still scene takes eight: so 3.2 to 4.0 ms a second were measured of one that took 4.3."""

Rgb = NDArray[np.uint8]
"""uint8, (height, width, 3), full range."""


class StreamCost:
    """Both pipelines with one classifier."""

    def __init__(self, profile: SamplingProfile) -> None:
        self._decoder = Decoder()
        self._classifier = Classifier(known_packages(None)[DEFAULT])
        self._pipeline = Pipeline(
            decoder=self._decoder,
            bank=always(ListsInForce(bank=Bank())),
            classifiers=[self._classifier],
            policy=load_policy(None),
            profile=profile,
        )
        self._pipeline.warm_up()
        self._hash = _plain_hash()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._decoder.close()

    def ours(self, hidden: HiddenClip) -> float:
        """CPU in seconds for a second of the stream, of all processes."""
        self._moderate(hidden, 1)  # starts the processes
        before = self._spent()
        passes, spent = 0, 0.0
        while spent < LEAST_SECONDS:
            self._moderate(hidden, None)
            passes, spent = passes + 1, self._spent() - before
        return spent / (passes * _seconds(hidden))

    def classified(self, hidden: HiddenClip, *, from_seconds: float) -> list[bool]:
        """For each sample from that time on, whether it was classified, and took over no scores."""
        return [
            sample.classified and not sample.deduplicated
            for start, verdict in self._moderate(hidden, None)
            for sample in verdict.samples
            if start + sample.pts_seconds >= from_seconds
        ]

    def _moderate(self, hidden: HiddenClip, count: int | None) -> list[tuple[float, SegmentVerdict]]:
        """The beginning of each segment that could be sampled, in seconds, and its verdict."""
        gate = None
        # One for all segments of a stream, as a worker's: by another key the state after the segment before is none.
        gate_seed = f"{hidden.row}/{hidden.clip.encoder}/{hidden.clip.base}".encode()
        verdicts = []
        segments = zip(hidden.starts_seconds, hidden.clip.segments, strict=True)
        for number, (start, segment) in enumerate(list(segments)[:count]):
            context = ModerationContext(stream=StreamFacts(stream_id="bench"), capture_ms=round(1000 * start))
            seed = f"{hidden.row}/{hidden.clip.encoder}/{number}".encode()
            try:
                verdict = self._pipeline.moderate(segment, context=context, seed=seed, gate=gate, gate_seed=gate_seed)
            except InputError:
                gate = None  # in the ledger, at this cost
                continue
            gate = verdict.gate
            verdicts.append((start, verdict))
        return verdicts

    def _spent(self) -> float:
        """CPU of this process, the fork server and its forks (utime, stime, cutime and cstime of proc(5))."""
        assert self._decoder.fork_server_pid is not None
        spent = time.process_time()
        for pid in (self._decoder.fork_server_pid, self._decoder.child_pid):
            if pid is not None:
                spent += _cpu_of(pid)
        return spent

    def plain(self, hidden: HiddenClip) -> float:
        """The same of the plain pipeline: every picture is decoded in one thread, and one each two seconds converted,
        hashed and classified."""
        step = PLAIN_SECONDS * hidden.frames_per_second
        is_mp4 = hidden.clip.stream[4:8] == b"ftyp"
        with tempfile.NamedTemporaryFile(suffix=".mp4" if is_mp4 else ".ts") as file:
            file.write(hidden.clip.stream)
            file.flush()
            began = time.process_time()
            count = 0
            # OpenCV's wheel has no decoder for AV1.
            for retrieve in _by_pyav(file.name) if "AV1" in hidden.clip.encoder else _by_opencv(file.name):
                if count % step == 0:
                    rgb = retrieve()
                    self._hash(rgb)
                    self._classifier.scores(rgb)
                count += 1
            spent = time.process_time() - began
        assert count >= 0.9 * hidden.clip.frames_total, f"{hidden.row}: the plain pipeline decoded {count} pictures"
        return spent / _seconds(hidden)


def _by_opencv(path: str) -> Iterator[Callable[[], Rgb]]:
    """For each picture of VideoCapture a function that converts it."""
    capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])

    def retrieve() -> Rgb:
        return np.asarray(cv2.cvtColor(capture.retrieve()[1], cv2.COLOR_BGR2RGB), np.uint8)

    while capture.grab():
        yield retrieve
    capture.release()


def _by_pyav(path: str) -> Iterator[Callable[[], Rgb]]:
    """The same of PyAV."""
    with av.open(path) as container:
        video = container.streams.video[0]
        video.codec_context.thread_count = 1
        for frame in container.decode(video):
            yield partial(_rgb, frame)


def _rgb(frame: VideoFrame) -> Rgb:
    return np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)


def _plain_hash() -> Callable[[Rgb], object]:
    """PDQ's reference binding; our hash, which is 36 times as fast, where it is not installed."""
    try:
        from pdqhash import compute
    except ImportError:
        return lambda rgb: hash_luma(np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8))
    found: Callable[[Rgb], object] = compute
    return found


def _seconds(hidden: HiddenClip) -> float:
    return hidden.clip.frames_total / hidden.frames_per_second


def _cpu_of(pid: int) -> float:
    """CPU seconds of a process and of those that it waited for."""
    with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123 (a file of the kernel's)
        fields = stat.read().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")

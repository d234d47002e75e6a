"""The cost of the pipeline relative to its bare parts, and of the cascade relative to its first stage."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.clips import ENCODERS, Clip, make_clean_clip
from bench.material import Reel
from config.facts import SampleFacts, StreamFacts
from config.policy.cascade import Stage
from config.policy.policy import load_policy
from config.profiles import BALANCED
from models.bank.bank import Bank
from models.classifiers.classifier import Classifier
from models.classifiers.package import ModelPackage
from models.classifiers.registry import DEFAULT, known_packages
from models.errors import WeightsError
from models.pdq.pdq import hash_luma
from sampler.child.decoder import Decoder
from sampler.decode.execute import Executor
from sampler.demux.packet_reader import Demuxer
from sampler.demux.source import InputFile
from sampler.limits import Limits
from sampler.picture import Picture
from sampler.plan.plan import plan
from worker.bank.lists_in_force import ListsInForce, always
from worker.moderation.moderation_context import ModerationContext
from worker.moderation.pipeline import Pipeline
from worker.moderation.stages import ModelTally, Stages
from worker.moderation.verdict import SampleVerdict, SegmentVerdict

WIDTH, HEIGHT = 640, 360
"""Size of the cheapest rendition that platforms send."""
SEGMENT_SECONDS = 6
CLIP_SECONDS = 24
ROUNDS = 5
"""Rounds of each clip: the kernel counts a child's CPU in hundredths of a second."""
SEED = b"bench"
SECOND = "safety-s"
"""The cascade's second stage; if its weights are not installed, the first model under another name."""
CAUSE = 'scores["open-nsfw/nsfw"] >= 0.15'
"""The condition of the second stage."""
EACH = 12
"""One picture in so many of a film is classified: half a second apart, the densest sampling."""

CONTEXT = ModerationContext(stream=StreamFacts(stream_id="bench"), capture_ms=0)


@dataclass(frozen=True, kw_only=True)
class PipelineCost:
    """CPU of one clip's segments, in seconds, of this process and the decoder child."""

    pipeline: float
    decode: float
    """CPU of the codec, for the pictures that the sampler decodes."""
    hash: float
    match: float
    classify: float
    """CPU of `session.run` with ready tensors."""
    packets: float
    """CPU of demuxing all packets only."""
    segments: int
    samples: int
    classified: int
    decoded_share: float

    @property
    def parts(self) -> float:
        return self.decode + self.hash + self.match + self.classify

    @property
    def ratio(self) -> float:
        return self.pipeline / self.parts


def measure_pipeline(base: str) -> PipelineCost:
    """All steps for a clip's segments, and each part alone."""
    reel = Reel([base], width=WIDTH, height=HEIGHT)
    clip = make_clean_clip(
        reel, encoder=ENCODERS[0], base=base, gop_seconds=2, seconds=CLIP_SECONDS, segment_seconds=SEGMENT_SECONDS
    )
    classifier = Classifier(known_packages(None)[DEFAULT])
    bank = Bank()
    lumas: list[NDArray[np.uint8]] = []

    def keep(picture: Picture, _: SampleVerdict) -> None:
        lumas.append(np.array(picture.luma()))

    with Decoder() as decoder:
        pipeline = Pipeline(
            decoder=decoder, bank=always(ListsInForce(bank=bank)), classifiers=[classifier], policy=load_policy(None)
        )
        pipeline.warm_up()
        verdicts = list(_moderated(pipeline, clip, keep))
        before = _cpu_of_both(decoder)
        for _ in range(ROUNDS):
            for _verdict in _moderated(pipeline, clip, None):
                pass
        spent = (_cpu_of_both(decoder) - before) / ROUNDS
    hashes = [hash_luma(luma) for luma in lumas]
    classified = sum(
        verdict.model_tallies[DEFAULT].classified for verdict in verdicts if DEFAULT in verdict.model_tallies
    )
    bare = classifier.bare_run(_picture(reel.picture(base, 0)))
    return PipelineCost(
        pipeline=spent,
        decode=sum(_codec_seconds(segment) for segment in clip.segments),
        hash=_cpu(lambda: [hash_luma(luma) for luma in lumas]),
        match=_cpu(lambda: [bank.match(pdq) for pdq in hashes if pdq.hashable]),
        classify=_cpu(lambda: [bare() for _ in range(classified)]),
        packets=sum(_cpu(partial(_scan, segment)) for segment in clip.segments),
        segments=len(clip.segments),
        samples=len(lumas),
        classified=classified,
        decoded_share=sum(v.frames_decoded for v in verdicts) / sum(v.frames_total for v in verdicts),
    )


def _moderated(
    pipeline: Pipeline, clip: Clip, observe: Callable[[Picture, SampleVerdict], None] | None
) -> Iterator[SegmentVerdict]:
    gate = None
    for number, segment in enumerate(clip.segments):
        context = ModerationContext(stream=CONTEXT.stream, capture_ms=round(1000 * clip.segment_start_seconds(number)))
        verdict = pipeline.moderate(segment, context=context, seed=SEED, gate=gate, observe=observe)
        gate = verdict.gate
        yield verdict


class _TimedCodec:
    """A codec context whose decoding is timed."""

    def __init__(self, context: Any) -> None:
        self.__dict__.update(_context=context, spent=0.0)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_context"], name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.__dict__["_context"], name, value)

    def decode(self, packet: Any) -> Any:
        started = time.thread_time()
        try:
            return self.__dict__["_context"].decode(packet)
        finally:
            self.__dict__["spent"] += time.thread_time() - started


def _codec_seconds(segment: bytes) -> float:
    """Seconds of decoding the sampled pictures in this process, without the probes of suspected cuts."""
    least = float("inf")
    for _ in range(3):
        with closing(_demuxer(segment)) as demuxer:
            codec: Any = _TimedCodec(demuxer.codec_context)
            executor = Executor(codec, Limits(), BALANCED)
            for window in demuxer.windows():
                end_seconds = max(packet.seconds for packet in window.packets) + demuxer.timeline.frame_seconds
                targets = plan(
                    window.packets, profile=BALANCED, seed=SEED, end_seconds=end_seconds, probed=executor.probes
                )
                for _taken in executor.run(window, targets):
                    pass
            least = min(least, codec.spent)
    return least


def _scan(segment: bytes) -> None:
    with closing(_demuxer(segment)) as demuxer:
        for _window in demuxer.windows():
            pass


def _demuxer(segment: bytes) -> Demuxer:
    descriptor = os.memfd_create("segment")
    try:
        os.write(descriptor, segment)
        return Demuxer(InputFile(os.dup(descriptor), len(segment)), Limits())
    finally:
        os.close(descriptor)


def _cpu(work: Callable[[], object]) -> float:
    """CPU seconds, the least of three."""
    spent = []
    for _ in range(3):
        started = time.thread_time()
        work()
        spent.append(time.thread_time() - started)
    return min(spent)


def _cpu_of_both(decoder: Decoder) -> float:
    """CPU seconds of this process, the fork server and its forks (utime, stime, cutime and cstime of proc(5))."""
    assert decoder.fork_server_pid is not None
    with open(f"/proc/{decoder.fork_server_pid}/stat") as stat:  # noqa: PTH123 (a file of the kernel's)
        fields = stat.read().rpartition(")")[2].split()
    return time.process_time() + sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, kw_only=True)
class CascadeCost:
    """CPU of the classifiers on benign pictures, in seconds."""

    first: float
    """CPU of the first stage alone."""
    cascade: float
    second_name: str
    films: dict[str, tuple[int, int]]
    """For each film: its pictures, and those that the second stage skipped."""

    @property
    def pictures(self) -> int:
        return sum(pictures for pictures, _ in self.films.values())

    @property
    def skipped(self) -> int:
        return sum(skipped for _, skipped in self.films.values())

    @property
    def ratio(self) -> float:
        return self.cascade / self.first

    @property
    def skip_rate(self) -> float:
        return self.skipped / self.pictures


def measure_cascade(films: Sequence[str], seconds: int) -> CascadeCost:
    """Classifies films with one stage and with two, alternately picture by picture."""
    reel = Reel(films, width=WIDTH, height=HEIGHT)
    packages = known_packages(None)
    first = Classifier(packages[DEFAULT])
    second, name = _second(packages)
    stages = [Stage(model=DEFAULT), Stage(model=second.name, when=CAUSE)]
    alone, both = Stages([first], None), Stages([first, second], stages)
    both.prepare()
    one, two = alone.segment(set()), both.segment(set())
    sample = SampleFacts(capture_ms=0, pts_seconds=0.0, reason="keyframe", pdq_quality=100)
    spent = [0.0, 0.0]
    films_skipped = {}
    for film in films:
        before = two.model_tallies.get(second.name, ModelTally())
        classified, skipped = before.classified, before.skipped
        for index in range(0, seconds * 24, EACH):
            picture = _picture(reel.picture(film, index))
            for which, segment_stages in enumerate((one, two)):
                started = time.thread_time()
                segment_stages.classify(picture, CONTEXT.stream, sample)
                spent[which] += time.thread_time() - started
        tally = two.model_tallies[second.name]
        films_skipped[film] = (
            tally.classified + tally.skipped - classified - skipped,
            tally.skipped - skipped,
        )
    return CascadeCost(first=spent[0], cascade=spent[1], second_name=name, films=films_skipped)


def _second(packages: dict[str, ModelPackage]) -> tuple[Classifier, str]:
    second = Classifier(packages[SECOND])
    try:
        second.verify()
    except WeightsError:
        package = packages[DEFAULT]
        again = ModelPackage(
            manifest=package.manifest.model_copy(update={"name": "again"}), path=package.path, origin=package.origin
        )
        return Classifier(again), f"{DEFAULT} again, since {SECOND} is not installed"
    return second, SECOND


def _picture(i420: NDArray[np.uint8]) -> Picture:
    """A picture of a reel as the decoder returns it."""
    luma, chroma = WIDTH * HEIGHT, WIDTH * HEIGHT // 4
    flat = i420.ravel()
    return Picture(
        planes=(
            flat[:luma].reshape(HEIGHT, WIDTH),
            flat[luma : luma + chroma].reshape(HEIGHT // 2, WIDTH // 2),
            flat[luma + chroma :].reshape(HEIGHT // 2, WIDTH // 2),
        ),
        full_range=False,
        matrix="bt601",
    )

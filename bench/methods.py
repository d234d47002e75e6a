"""Methods to sample a stream: Livewarden's and others. Each returns its samples and their cost."""

import math
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from io import BytesIO
from typing import Protocol

import av
import cv2

from bench.clips import FRAMES_PER_SECOND, Clip, as_mp4, seconds
from config.profiles import SamplingProfile
from sampler.child.decoder import Decoder
from sampler.demux.open_input import OPEN_OPTIONS
from sampler.errors import InputError
from sampler.frames import HeadlessError, SampledFrame, SampledSegment

SEEK_SECONDS = 2
"""Distance of two pictures of the seeking method, as in the profile `balanced`."""


@dataclass(frozen=True, kw_only=True)
class ClipSamples:
    """The samples of one method on one clip."""

    seen_seconds: tuple[float, ...]
    """Presentation times of the pictures taken, from the clip's first picture, ascending."""
    frames_decoded: int
    cpu_seconds: float
    """CPU of this process, and of the decoder child if there is one."""
    segments_failed: int = 0
    """Segments that it reported as undecodable."""


class Method(Protocol):
    """A method to sample clips."""

    name: str

    def sample(self, clip: Clip) -> ClipSamples:
        """Samples one clip."""


def sampled(
    clip: Clip,
    decoder: Decoder,
    profile: SamplingProfile,
    consume: Callable[[SampledFrame], None] | None = None,
    *,
    seed: str = "",
) -> Iterator[tuple[float, SampledSegment | None]]:
    """The beginning of each segment of a clip, in seconds, and the sampler's result; None: it could not be decoded.

    As a worker does, the parameter sets of the segment before are taken over, and pictures that lean on that one are
    sampled with it.

    Args:
        consume: is called with each picture, as in the pipeline; without it, they are kept.
        seed: segments of the same clip are sampled otherwise with another.
    """
    seed = seed or f"{clip.encoder}/{clip.base}/{clip.gop_seconds}"
    sets = b""
    for index, segment in enumerate(clip.segments):
        sample = partial(
            decoder.sample,
            segment,
            profile=profile,
            seed=f"{seed}/{index}".encode(),
            consume=consume,
            parameter_sets=sets,
        )
        try:
            found = sample()
        except HeadlessError as error:
            found = error.alone
        except InputError:
            found = None
        if index and found is not None and found.needs_before:
            found = found.with_leading(sample(before=clip.segments[index - 1], first=found))
        sets = b"" if found is None else found.parameter_sets
        yield clip.segment_start_seconds(index), found


class Livewarden:
    """Livewarden's sampler, run on each segment as by a worker."""

    name = "livewarden"

    def __init__(self, decoder: Decoder, profile: SamplingProfile) -> None:
        self._decoder = decoder
        self._profile = profile

    def sample(self, clip: Clip) -> ClipSamples:
        """Samples one clip."""
        seen: list[float] = []
        taken: list[float] = []
        decoded = 0
        failed = 0
        child_seconds = 0.0
        began = time.process_time()
        segments = sampled(clip, self._decoder, self._profile, lambda frame: taken.append(frame.pts_seconds))
        for start_seconds, segment in segments:
            if segment is None:
                failed += 1
                continue
            seen += [start_seconds + pts_seconds for pts_seconds in sorted(taken)]
            taken.clear()
            decoded += segment.frames_decoded
            child_seconds += segment.cpu_seconds["demux"] + segment.cpu_seconds["decode"]
        return ClipSamples(
            seen_seconds=tuple(seen),
            frames_decoded=decoded,
            cpu_seconds=time.process_time() - began + child_seconds,
            segments_failed=failed,
        )


class KeyframesOnly:
    """FFmpeg's `skip_frame=NONKEY`, segment by segment, in this process, opened as cheaply as by Livewarden."""

    name = "keyframes only"

    def sample(self, clip: Clip) -> ClipSamples:
        """Samples one clip."""
        seen: list[float] = []
        began = time.process_time()
        for index, segment in enumerate(clip.segments):
            with av.open(BytesIO(segment), "r", format="mpegts", options=OPEN_OPTIONS) as container:
                video = container.streams.video[0]
                video.codec_context.skip_frame = "NONKEY"
                video.codec_context.thread_count = 1
                first_seconds = math.inf
                taken: list[float] = []
                for packet in container.demux(video):
                    if packet.pts is not None:
                        first_seconds = min(first_seconds, seconds(packet))
                    taken += [seconds(frame) for frame in packet.decode()]
                start_seconds = clip.segment_start_seconds(index) - first_seconds
                seen += [start_seconds + instant for instant in taken]
        return ClipSamples(seen_seconds=tuple(seen), frames_decoded=len(seen), cpu_seconds=time.process_time() - began)


class Seeking:
    """One picture every two seconds: a seek to the preceding keyframe, and decoding up to the picture."""

    name = "seek every 2 s"

    def sample(self, clip: Clip) -> ClipSamples:
        """Samples one clip."""
        seen: list[float] = []
        decoded = 0
        film = BytesIO(as_mp4(clip.stream))
        began = time.process_time()
        with av.open(film, "r", format="mp4") as container:
            video = container.streams.video[0]
            video.codec_context.thread_count = 1
            # With B-frames the container's clock does not begin at 0 (its edit list names the first picture).
            first_seconds = container.start_time / av.time_base
            for wanted in range(0, int(clip.duration_seconds), SEEK_SECONDS):
                container.seek(round((first_seconds + wanted) * av.time_base))
                for frame in container.decode(video):
                    decoded += 1
                    elapsed = seconds(frame) - first_seconds
                    if elapsed >= wanted - 0.5 / FRAMES_PER_SECOND:
                        seen.append(elapsed)
                        break
        return ClipSamples(seen_seconds=tuple(seen), frames_decoded=decoded, cpu_seconds=time.process_time() - began)


class VideoCapture:
    """Every picture, by OpenCV, in one thread: more threads would cost more CPU."""

    name = "VideoCapture"

    def sample(self, clip: Clip) -> ClipSamples:
        """Samples one clip."""
        with tempfile.NamedTemporaryFile(suffix=".ts") as file:
            file.write(clip.stream)
            file.flush()
            began = time.process_time()
            capture = cv2.VideoCapture(file.name, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
            count = 0
            while capture.read()[0]:
                count += 1
            capture.release()
            cpu_seconds = time.process_time() - began
        seen = tuple(index / FRAMES_PER_SECOND for index in range(count))
        return ClipSamples(seen_seconds=seen, frames_decoded=count, cpu_seconds=cpu_seconds)


class SceneDetect:
    """The first picture of each scene found by PySceneDetect's content detector with default settings."""

    name = "PySceneDetect"

    def sample(self, clip: Clip) -> ClipSamples:
        """Samples one clip."""
        scenedetect = import_module("scenedetect")
        with tempfile.NamedTemporaryFile(suffix=".ts") as file:
            file.write(clip.stream)
            file.flush()
            began = time.process_time()
            scenes = scenedetect.detect(file.name, scenedetect.ContentDetector(), start_in_scene=True)
            cpu_seconds = time.process_time() - began
        first_seconds = scenes[0][0].seconds
        return ClipSamples(
            seen_seconds=tuple(start.seconds - first_seconds for start, _ in scenes),
            frames_decoded=clip.frames_total,
            cpu_seconds=cpu_seconds,
        )


def scenedetect_is_here() -> bool:
    """True if PySceneDetect is installed."""
    return find_spec("scenedetect") is not None

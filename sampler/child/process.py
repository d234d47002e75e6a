"""The process that decodes: bytes go in, pictures come out.

FFmpeg and OpenCV parse hostile bytes only here (in the worker, OpenCV sees decoded pixels), in a process without
network, files, keys or lists, which is forked for a few requests by the fork server
(sampler/child/fork_server.py): `python -m sampler.child.process DESCRIPTOR PARENT MEMORY_BYTES`.
"""

import gc
import json
import os
import socket
import sys
import time
from dataclasses import replace
from typing import Any

import av

from config.profiles import SamplingProfile
from sampler.child import wire
from sampler.child.fork_server import run_fork_server
from sampler.child.outbox import Outbox
from sampler.child.track import Inputs, sample_track
from sampler.child.warm_up import warm_up
from sampler.decode.presentation.planes import StoredPicture
from sampler.decode.stills import decode_still
from sampler.demux.libav import translate
from sampler.demux.video_streams import SAMPLED_TRACKS, SECOND_VIDEO_STREAM
from sampler.errors import DecoderMemoryError, SamplerError
from sampler.limits import Limits


def _settings(text: str) -> tuple[Limits, SamplingProfile]:
    read = json.loads(text)
    return Limits(**read["limits"]), SamplingProfile.model_validate(read["profile"])


def sample(request: dict[str, Any], inputs: Inputs, outbox: Outbox) -> dict[str, object]:
    """Samples one video input, track after track; pictures go into the outbox, the summaries are returned.

    A track that cannot be sampled leaves a note: what it shows is unknown, and so is which one a player shows.

    Raises:
        SamplerError: none can be sampled.
    """
    limits, profile = _settings(request["settings"])
    # Boxes can name the same bytes again and again; the parent believes in one picture a byte.
    limits = replace(limits, frames=min(limits.frames, request["size"]))
    summaries: list[dict[str, Any]] = []
    failures: list[SamplerError] = []
    for track in range(SAMPLED_TRACKS):
        try:
            summary, tracks = sample_track(track, request, inputs, outbox, limits, profile)
        except (DecoderMemoryError, av.error.MemoryError):
            raise
        except SamplerError as error:
            # Its traceback would keep what was read.
            failures.append(error.with_traceback(None))
        except av.error.FFmpegError as error:
            failures.append(translate(error))
        else:
            summaries.append(summary)
            # Pictures of all tracks are bounded together.
            limits = replace(limits, frames=limits.frames - summary["frames_total"])
            if tracks == track + 1:
                break
        gc.collect()
    if not summaries:
        raise failures[0]
    if failures or any(SECOND_VIDEO_STREAM in summary["notes"] for summary in summaries):
        for summary in summaries:
            summary["notes"] = [*dict.fromkeys((*summary["notes"], SECOND_VIDEO_STREAM))]
    return {"type": "done", "tracks": summaries}


def still(request: dict[str, Any], inputs: Inputs, outbox: Outbox) -> dict[str, object]:
    """Decodes one still picture."""
    started = time.process_time()
    pixels = decode_still(os.pread(inputs.input, request["size"], 0), _settings(request["settings"])[0])
    height, width, _ = pixels.shape
    stored = StoredPicture(
        layout="rgb", columns=(width,), rows=(height,), strides=(3 * width,), full_range=True, matrix="bt601"
    )
    outbox.add(
        stored,
        (pixels.reshape(-1),),
        {"pts_seconds": 0.0, "until_seconds": 0.0, "reason": "keyframe", "keyframe": True, "concealed": False},
    )
    return {"type": "done", "decode_seconds": time.process_time() - started}


OPERATIONS = {"sample": sample, "still": still}


def answer(request: dict[str, Any], inputs: Inputs, outbox: Outbox) -> None:
    """Answers a request: `more` with pictures as often as it takes, then `done` with the last ones, or `error`.

    With the last message the parent may stop this process until its next request, so nothing is left to do after it
    but to close what the parent made for this one.
    """
    try:
        reply = OPERATIONS[request["operation"]](request, inputs, outbox)
    except SamplerError as error:
        reply = _failure(error)
    except (MemoryError, av.error.MemoryError):
        reply = _failure(DecoderMemoryError("the decoder hit its memory bound"))
    except av.error.FFmpegError as error:
        reply = _failure(translate(error))
    if reply["type"] == "error":
        outbox.drop()
    outbox.send(reply)


def _failure(error: SamplerError) -> dict[str, object]:
    return {"type": "error", "error": type(error).__name__, "text": str(error)}


def serve(sock: socket.socket) -> None:
    """Answers requests until the parent ends this process or closes the socket."""
    while True:
        try:
            request, descriptors = wire.receive_request(sock)
        except wire.ClosedError:
            return
        opened, first, second, *before = descriptors
        inputs = Inputs(input=opened, before=before[0] if before else None)
        answer(request, inputs, Outbox(sock, (first, second), request["number"]))
        for descriptor in descriptors:
            os.close(descriptor)
        gc.collect()


if __name__ == "__main__":
    run_fork_server(serve, sys.argv[1:], prepare=warm_up)

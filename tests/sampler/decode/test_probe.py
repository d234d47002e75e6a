"""Probes for a cut: a picture is decoded without its references."""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from kinds import x265
from media import FRAME_SECONDS, Recipe, encode, encode_pictures, in_mp4, photograph, steady, x264
from numpy.typing import NDArray

from sampler.decode.probe import Prober, prober
from sampler.demux.packet_reader import Demuxer, PacketWindow
from sampler.demux.source import InputFile
from sampler.limits import Limits

PICTURES = 60
START, STOP = 20, 33
"""Pictures [START, STOP) show another scene, if there is one."""
SHARE = 0.5
"""Share of a picture that may be predicted although it is a cut."""
CLOSED = {"keyint": PICTURES, "min_keyint": PICTURES, "scenecut": 0}
RECIPES = {
    "zerolatency": x264(tune="zerolatency", **CLOSED),
    "b-frames": x264(bframes=3, **CLOSED),
    "many b-frames and references": x264(preset="medium", bframes=8, ref=4, **CLOSED),
    "temporal direct prediction": x264(bframes=3, direct="temporal", **CLOSED),
    "b-frames in mp4": in_mp4(x264(bframes=3, **CLOSED)),
    "10 bit": replace(x264(bframes=3, **CLOSED), pixel_format="yuv420p10le"),
    "hevc": x265(bframes=0, keyint=PICTURES, min_keyint=PICTURES),
    "hevc, b-frames": x265(keyint=PICTURES, min_keyint=PICTURES),
    "hevc, 10 bit": replace(x265(bframes=0, keyint=PICTURES, min_keyint=PICTURES), pixel_format="yuv420p10le"),
}

Probed = tuple[PacketWindow, Prober]


@pytest.fixture
def probed() -> Iterator[Callable[[bytes], Probed]]:
    """Reads a clip of one GOP."""
    opened: list[tuple[Demuxer, int]] = []

    def read(data: bytes) -> Probed:
        descriptor = os.memfd_create("clip")
        os.write(descriptor, data)
        demuxer = Demuxer(InputFile(descriptor, len(data)), Limits())
        opened.append((demuxer, descriptor))
        (window,) = demuxer.windows()
        prepared = prober(demuxer.codec_context, max_pixels=1 << 20, extradata=demuxer.probing_extradata)
        assert prepared is not None
        return window, prepared

    yield read
    for demuxer, descriptor in opened:
        demuxer.close()
        os.close(descriptor)


def believed(probed: Probed) -> set[int]:
    """Numbers of the pictures, except the keyframe, that count as new content."""
    window, prepared = probed
    first = min(packet.seconds for packet in window.packets)
    return {
        round((packet.seconds - first) / FRAME_SECONDS)
        for packet, payload in zip(window.packets, window.payloads, strict=True)
        if not packet.keyframe and prepared.is_new_content(payload, window.payloads[0], SHARE)
    }


def photographed(recipe: Recipe, index: int) -> NDArray[np.float64]:
    """Luma of a moving photograph; of another one within [START, STOP)."""
    name = "coffee" if START <= index < STOP else "astronaut"
    return np.roll(photograph(name, recipe.width, recipe.height), index, axis=1)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())
def test_pictures_of_one_scene_are_no_cuts(probed: Callable[[bytes], Probed], recipe: Recipe) -> None:
    """Ordinary motion would be decoded like a cut, at ten times the cost of keyframes."""
    assert believed(probed(encode(recipe, steady(PICTURES)))) == set()


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv420p10le"])
def test_noise_over_a_scene_is_no_cut(probed: Callable[[bytes], Probed], pixel_format: str) -> None:
    """A webcam's GOPs would be decoded whole: what is predicted differs from what is missing by its residual."""
    fine = replace(x265(crf=18, keyint=PICTURES, min_keyint=PICTURES), pixel_format=pixel_format)

    def noisy(index: int) -> NDArray[np.float64]:
        still = photograph("astronaut", fine.width, fine.height)
        return np.clip(still + np.random.default_rng(index).normal(0, 4, still.shape), 0, 255)

    assert believed(probed(encode_pictures(fine, steady(PICTURES), noisy))) == set()


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())
def test_an_insert_is_detected_at_one_of_its_ends(probed: Callable[[bytes], Probed], recipe: Recipe) -> None:
    """A cut taken for motion would never be decoded."""
    told = believed(probed(encode_pictures(recipe, steady(PICTURES), lambda index: photographed(recipe, index))))

    # With B-frames a scene is first coded in a later picture that they reference.
    assert told & set(range(START, STOP + 9))


@pytest.mark.parametrize("name", ["zerolatency", "hevc"])
def test_a_picture_that_cannot_be_decoded_counts_as_a_cut(probed: Callable[[bytes], Probed], name: str) -> None:
    """A broadcaster could hide a picture by damaging its packet."""
    window, prepared = probed(encode(RECIPES[name], steady(PICTURES)))
    damaged = window.payloads[START]
    damaged.update(bytes(damaged)[:12] + b"\xff" * (damaged.size - 12))

    assert prepared.is_new_content(damaged, window.payloads[0], SHARE)

"""Probes for a cut: a picture is decoded without its references."""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from kinds import x265
from media import FRAME_SECONDS, Recipe, encode, encode_pictures, in_mp4, photograph, steady, x264
from numpy.typing import NDArray

from sampler.decode.runs.needed import leaned_on
from sampler.decode.runs.probe import PROBED_AFTER, Prober, prober
from sampler.demux.packet_reader import Demuxer
from sampler.demux.packet_window import PacketWindow
from sampler.demux.packets import runs
from sampler.demux.source import InputFile
from sampler.limits import Limits

PICTURES = 60
START, STOP = 20, 33
"""Pictures [START, STOP) show another scene, if there is one."""
SHARE = 0.5
"""Share of a picture that may be predicted although it is a cut."""
PIECE, PIECES_SHARE = 16, 0.3
"""Side of new pieces in pixels, and share of a picture that they cover."""
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


def believed_in_context(probed: Probed) -> set[int]:
    """The same, where a few pictures come along that the picture may be predicted from, as in a plan's probes."""
    window, prepared = probed
    (run,) = runs(window.packets)
    return {
        index
        for index, (packet, payload) in enumerate(zip(window.packets, window.payloads, strict=True))
        if not packet.keyframe
        and prepared.is_new_content(
            payload,
            window.payloads[0],
            SHARE,
            before=[window.payloads[other] for other in leaned_on(window, run, index, PROBED_AFTER)],
        )
    }


def with_new_pieces(recipe: Recipe, *, pixels_a_picture: int) -> bytes:
    """A photograph that moves; pieces of another one are strewn over every fifth picture."""
    strewn = np.random.default_rng(1).random((-(-recipe.height // PIECE), -(-recipe.width // PIECE))) < PIECES_SHARE
    pieces = np.kron(strewn, np.ones((PIECE, PIECE)))[: recipe.height, : recipe.width] > 0
    ground, other = (photograph(name, recipe.width, recipe.height) for name in ("astronaut", "coffee"))

    def luma(index: int) -> NDArray[np.float64]:
        moved = np.roll(ground, pixels_a_picture * index, axis=1)
        return np.where(pieces, np.roll(other, 7 * index, axis=0), moved) if index and index % 5 == 0 else moved

    return encode_pictures(recipe, steady(PICTURES), luma)


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


def test_new_pieces_in_a_scene_that_moves_are_no_cut(probed: Callable[[bytes], Probed]) -> None:
    """A GOP would be decoded up to a B-frame, of which a quarter is new: its ground moves, but its vectors come from a
    picture that a probe does without, so that it seems to rest."""
    clip = probed(with_new_pieces(x264(bframes=3, crf=20, **CLOSED), pixels_a_picture=1))

    assert believed(clip)
    assert believed_in_context(clip) == set()


def test_new_pieces_over_a_ground_that_rests_are_a_cut(probed: Callable[[bytes], Probed]) -> None:
    """What comes in piece by piece over a still picture would be refuted by the ground beside it."""
    assert believed_in_context(probed(with_new_pieces(x264(bframes=3, crf=20, **CLOSED), pixels_a_picture=0)))


@pytest.mark.parametrize("name", ["zerolatency", "hevc"])
def test_a_picture_that_cannot_be_decoded_counts_as_a_cut(probed: Callable[[bytes], Probed], name: str) -> None:
    """A broadcaster could hide a picture by damaging its packet."""
    window, prepared = probed(encode(RECIPES[name], steady(PICTURES)))
    damaged = window.payloads[START]
    damaged.update(bytes(damaged)[:12] + b"\xff" * (damaged.size - 12))

    assert prepared.is_new_content(damaged, window.payloads[0], SHARE)

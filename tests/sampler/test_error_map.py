"""Every error of FFmpeg has a counterpart of ours."""

import errno
from collections.abc import Iterator

import av
import pytest

from config.errors import LivewardenError
from sampler import errors
from sampler.demux.libav import translate
from sampler.errors import SamplerError
from sampler.frames import HeadlessError

EXPECTED = {
    av.error.MemoryError: "out_of_memory",
    av.error.DecoderNotFoundError: "unsupported_codec",
    av.error.PatchWelcomeError: "unsupported_codec",
    av.error.DemuxerNotFoundError: "unsupported_container",
    av.error.EOFError: "truncated",
    av.error.InvalidDataError: "undecodable",
    av.error.PermissionError: "undecodable",
}
"""Reasons that the coverage ledger depends on."""


def classes_below(root: type) -> Iterator[type]:
    """`root` and all of its subclasses."""
    yield root
    for child in root.__subclasses__():
        yield from classes_below(child)


LIBAV_ERRORS = sorted(set(classes_below(av.error.FFmpegError)), key=lambda kind: kind.__name__)
SAMPLER_ERRORS = [kind for kind in classes_below(SamplerError) if "reason" in vars(kind)]


@pytest.mark.parametrize("kind", LIBAV_ERRORS, ids=lambda kind: kind.__name__)
def test_every_libav_error_becomes_one_of_ours(kind: type[av.error.FFmpegError]) -> None:
    """A new PyAV's new error would end the decoder child instead of being counted for its segment."""
    translated = translate(kind(errno.EINVAL, "as FFmpeg says"))
    assert isinstance(translated, SamplerError)
    assert translated.reason
    assert "as FFmpeg says" in str(translated)


def test_the_walk_includes_all_of_av_error() -> None:
    """The test above would skip the classes that it is about."""
    public = {kind for kind in vars(av.error).values() if isinstance(kind, type) and issubclass(kind, Exception)}
    assert {kind for kind in public if issubclass(kind, av.error.FFmpegError)} == set(LIBAV_ERRORS)
    assert len(LIBAV_ERRORS) > 30


@pytest.mark.parametrize("number", sorted(errno.errorcode))
def test_every_system_error_number_becomes_one_of_ours(number: int) -> None:
    """PyAV creates classes from error numbers: one that it does not know would slip past the map."""
    with pytest.raises(av.error.FFmpegError) as caught:
        av.error.err_check(-number)
    assert isinstance(translate(caught.value), SamplerError)


@pytest.mark.parametrize(("kind", "reason"), EXPECTED.items(), ids=lambda value: getattr(value, "__name__", value))
def test_reasons_are_distinguished(kind: type[av.error.FFmpegError], reason: str) -> None:
    """The ledger would report damage for a codec that we do not decode, or the other way round."""
    assert translate(kind(1, "words")).reason == reason


def test_reasons_are_unique_and_every_leaf_has_one() -> None:
    """Two kinds of failure would be counted as one, or one as none."""
    reasons = [kind.reason for kind in SAMPLER_ERRORS]
    assert len(reasons) == len(set(reasons))
    leaves = [kind for kind in classes_below(SamplerError) if not kind.__subclasses__()]
    # What a segment lacks without the one before is the same to the ledger.
    assert [kind for kind in leaves if "reason" not in vars(kind)] == [HeadlessError]
    assert issubclass(SamplerError, LivewardenError)


def test_the_drawn_tree_is_the_real_one() -> None:
    """Operators would look up a reason in a wrong tree."""
    drawn = errors.__doc__ or ""
    for kind in SAMPLER_ERRORS:
        (line,) = [line for line in drawn.splitlines() if f" {kind.__name__} " in line]
        assert kind.reason in line.split()

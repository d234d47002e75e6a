"""Pictures that a decoder does not show, or shows at another time than the container says."""

import io

import av
import pytest
from fields import FRAME_NUMBER_BITS, I_SLICE, IDR, P_SLICE, SIZE, SLICE, BitWriter, picture_parameters
from long_term import UNREFERENCED_SLICE, put_blocks, sequence_parameters
from media import FRAME_TICKS, RATE, changed, encode, muxed, number_in, steady, x264

from config.profiles import BALANCED
from sampler.child.decoder import Decoder

COUNT = 100


HIDDEN = 50


def hiding() -> bytes:
    """An MPEG-TS in which a reference picture is older, by its order of output, than what was shown already: it is
    never shown, but all from the second after it on repeat it."""
    return muxed(map(_picture, range(COUNT)), SIZE)


def _picture(number: int) -> bytes:
    intra = number in (0, HIDDEN)
    head = sequence_parameters(named=False) + picture_parameters() if number == 0 else b""
    bits = BitWriter()
    bits.ue(0, I_SLICE if intra else P_SLICE, 0)
    bits.put((number > 0) + (number > HIDDEN), FRAME_NUMBER_BITS)
    if number == 0:
        bits.ue(0)
    bits.put(2 * (number - 8 if number == HIDDEN else number) % 2**FRAME_NUMBER_BITS, FRAME_NUMBER_BITS)
    older = number == HIDDEN + 1
    if not intra:
        bits.put(older)
        if older:
            bits.ue(1)
        bits.put(0)
    else:
        bits.put(0, 2 if number == 0 else 1)
    put_blocks(bits, number, HIDDEN, older=older)
    return head + bits.unit(IDR if number == 0 else SLICE if intra else UNREFERENCED_SLICE)


def test_a_picture_is_shown_where_it_says_and_answers_for_no_other(decoder: Decoder) -> None:
    """A picture whose time is put off would be the sample of all before that time, and a cut there would be missed."""
    still = x264(bframes=0, keyint=250, scenecut=0)
    data = encode(still, steady(COUNT), lambda number: 40 <= number < 70)
    data = changed(data, lambda _, content: content, lambda index, pts: pts + (index == 35) * 35 * FRAME_TICKS)
    for seed in (b"a", b"b", b"c", b"d"):
        segment = decoder.sample(data, profile=BALANCED, seed=seed)
        numbers = {round(frame.pts_seconds * RATE): number_in(frame.picture.luma()) for frame in segment.frames}
        assert any(40 <= number < 70 for number in numbers.values())
        assert all(number == at or number == 35 for at, number in numbers.items())


def test_what_leans_on_a_picture_that_is_never_shown_is_seen(decoder: Decoder) -> None:
    """Another scene could be brought in by a picture that no player shows, in packets that are empty after it."""
    data = hiding()
    with av.open(io.BytesIO(data)) as source:
        shown = {round(frame.pts / FRAME_TICKS): frame.to_ndarray(format="gray") for frame in source.decode(video=0)}
    assert HIDDEN not in {number - min(shown) for number in shown}
    for seed in (b"a", b"b", b"c", b"d"):
        segment = decoder.sample(data, profile=BALANCED, seed=seed)
        lasting = [frame for frame in segment.frames if frame.pts_seconds * RATE > HIDDEN + 1.5]
        assert lasting
        assert lasting[0].pts_seconds * RATE < HIDDEN + 3


def test_a_gop_of_which_no_picture_comes_is_not_called_seen(decoder: Decoder) -> None:
    """A second that cannot be decoded would count as moderated by the sample before it, and a player may show it."""
    data = encode(x264(bframes=0, keyint=25, scenecut=0), steady(COUNT))

    def spoilt(index: int, content: bytes) -> bytes:
        """In the second GOP slices begin at macroblock 128: there are 84."""
        if not 25 <= index < 50:
            return content
        slices = content.rindex(b"\0\0\1") + 4
        return content[:slices] + b"\1" * (len(content) - slices)

    data = changed(data, spoilt, lambda _, pts: pts)
    segment = decoder.sample(data, profile=BALANCED, seed=b"s")
    (lost,) = segment.unmoderated
    assert lost.reason == "undecodable"
    assert lost.start_seconds == pytest.approx(1.0)
    assert lost.end_seconds == pytest.approx(2.0)

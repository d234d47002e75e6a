"""Encrypted video, in every wrapping of HLS: reported as encrypted, never as damaged or moderated."""

import struct

import pytest
from hostile_media import init_and_fragments, scrambled, segment

from config.profiles import BALANCED
from sampler.child.decoder import Decoder
from sampler.errors import EncryptedError

ENTRIES = {"libx264": b"avc1", "libx265": b"hev1", "libsvtav1": b"av01", "libvpx-vp9": b"vp09"}
"""Sample entry of each encoder's MP4."""
STREAM_TYPE = b"\x1b\xe1\x00"
"""H.264 on PID 0x100, as in a program map."""
PIFF_UUID = bytes.fromhex("a2394f525a9b4f14a2446c427c648df4")


def without_parameters(data: bytes) -> bytes:
    """CENC whose sample entry has no default parameters: FFmpeg then takes its samples for unencrypted."""
    return data.replace(b"tenc", b"free")


def behind_free_space(data: bytes) -> bytes:
    """The MP4 behind so much free space that its first bytes show no sample entry."""
    return struct.pack(">I4s", 200_008, b"free") + bytes(200_000) + data


def as_piff(fragments: bytes) -> bytes:
    """The fragments with `senc` under its older name. The size of the preceding data grows by 16."""
    for name in (b"moof", b"traf", b"senc"):
        at = fragments.index(name) - 4
        (size,) = struct.unpack_from(">I", fragments, at)
        fragments = fragments[:at] + struct.pack(">I", size + 16) + fragments[at + 4 :]
    return fragments.replace(b"senc", b"uuid" + PIFF_UUID, 1)


def _clear_first(share: float) -> bytes:
    """TS whose first packets are in the clear."""
    clear = segment(seconds=6)
    edge = int(len(clear) / 188 * share) * 188
    return clear[:edge] + scrambled(clear[edge:])


CENC = segment("mp4", encrypted=True)
CLEAR = segment("mp4")
NAMED = CLEAR.replace(b"avc1", b"encv")
WHOLE = {
    "CENC": CENC,
    "CENC without default parameters": without_parameters(CENC),
    "an encrypted sample entry without sinf": NAMED,
    "an encrypted sample entry far behind": behind_free_space(NAMED),
    "SAMPLE-AES in TS": segment().replace(STREAM_TYPE, b"\xdb" + STREAM_TYPE[1:]),
    "scrambled TS": scrambled(segment()),
    "TS that is scrambled from its middle on": _clear_first(0.8),
    "scrambled TS with audio in the clear": scrambled(segment(audio_seconds=2)),
    "scrambled TS after a second of audio in the clear": scrambled(segment(audio_seconds=2, video_from_seconds=1)),
}
PAIRS = {
    "CENC": init_and_fragments(CENC),
    "an encrypted sample entry without sinf": init_and_fragments(NAMED),
    "an encrypted sample entry, its fragments in the clear": (
        init_and_fragments(CENC)[0],
        init_and_fragments(CLEAR)[1],
    ),
    "an init section in the clear": (init_and_fragments(CLEAR)[0], init_and_fragments(CENC)[1]),
    "an init section and a fragment in the clear": (
        init_and_fragments(CLEAR)[0],
        init_and_fragments(CLEAR)[1] + init_and_fragments(CENC)[1],
    ),
    "an init section in the clear before PIFF": (
        init_and_fragments(CLEAR)[0],
        as_piff(init_and_fragments(CENC)[1]),
    ),
}
"""Init section and media segment."""


@pytest.mark.parametrize("name", WHOLE)
def test_an_encrypted_segment_is_reported_as_encrypted(decoder: Decoder, name: str) -> None:
    """Operators would look for damage where a key is missing, or garbage would count as moderated."""
    with pytest.raises(EncryptedError) as caught:
        decoder.sample(WHOLE[name], profile=BALANCED, seed=b"")
    assert caught.value.reason == "encrypted"


@pytest.mark.parametrize("name", PAIRS)
def test_an_encrypted_fragment_with_its_init_section_is_reported_as_encrypted(decoder: Decoder, name: str) -> None:
    """In fMP4 streams only the init section says that the fragment is encrypted."""
    init, fragments = PAIRS[name]
    with pytest.raises(EncryptedError):
        decoder.sample(fragments, init=init, profile=BALANCED, seed=b"")


@pytest.mark.parametrize("encoder", ENTRIES)
def test_encryption_is_detected_for_every_codec(decoder: Decoder, encoder: str) -> None:
    """Codecs whose damage FFmpeg does not notice (AV1, VP9) would decode to clean garbage."""
    clear = segment("mp4", codec=encoder)
    assert decoder.sample(clear, profile=BALANCED, seed=b"").frames
    cenc = segment("mp4", codec=encoder, encrypted=True)
    for data in (cenc, without_parameters(cenc), clear.replace(ENTRIES[encoder], b"encv")):
        with pytest.raises(EncryptedError):
            decoder.sample(data, profile=BALANCED, seed=b"")


def test_scrambled_audio_does_not_hide_the_pictures(decoder: Decoder) -> None:
    """A broadcaster would hide visible pictures behind audio that nobody can play."""
    both = segment(audio_seconds=2)
    assert decoder.sample(scrambled(both, pid=0x101), profile=BALANCED, seed=b"").frames
    assert decoder.sample(both.replace(b"mp4a", b"enca"), profile=BALANCED, seed=b"").frames


def test_names_that_resemble_encryption_are_no_encryption(decoder: Decoder) -> None:
    """A broadcaster could evade moderation by a word in a title."""
    name = b"encv senc tenc"
    titled = struct.pack(">I4s", 8 + len(name), b"free") + name + CLEAR
    assert decoder.sample(titled, profile=BALANCED, seed=b"").frames

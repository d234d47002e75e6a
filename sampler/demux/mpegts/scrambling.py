"""Signs in the packets of an MPEG-TS that pictures are encrypted. Runs in the decoder child.

FFmpeg decodes what it has no key for as if it were in the clear. An encrypted stream would be reported as damaged.
"""

from collections import Counter

from sampler.demux.mpegts.headers import FIRST_SCRAMBLED, TS_PACKET_BYTES, TS_SYNC

SAMPLE_AES = 0xDB
"""Stream type of sample-encrypted H.264 in MPEG-TS (Apple, "MPEG-2 Stream Encryption Format for HTTP Live Streaming",
2.3), which FFmpeg gives as the codec tag."""
SCRAMBLED_PACKETS = 3
"""So many scrambled packets of its PID make a video encrypted, wherever they are. Damage leaves the PID by chance once
in 8,192 packets."""


def is_scrambled(packets: bytes, pid: int) -> bool:
    """True if most MPEG-TS packets of `pid` are marked (transport_scrambling_control, ISO/IEC 13818-1, 2.4.3.2)."""
    if max(packets[3::TS_PACKET_BYTES], default=0) < FIRST_SCRAMBLED:
        return False
    high, low, control = (packets[column::TS_PACKET_BYTES] for column in (1, 2, 3))
    named = zip(high, low, control, strict=False)
    controls = [bits for upper, lower, bits in named if (upper & 0x1F) << 8 | lower == pid]
    return sum(bits >= FIRST_SCRAMBLED for bits in controls) * 2 > len(controls)


class ScrambledPackets:
    """Counts the scrambled packets of an MPEG-TS by their PID, as it is read: FFmpeg drops them in silence."""

    def __init__(self) -> None:
        self.by_pid: Counter[int] = Counter()
        self._counted_bytes = 0

    def count(self, offset: int, data: bytes) -> None:
        """Counts those whose headers are in the bytes from `offset` of the input on."""
        # FFmpeg reads some of it again where it looks for the next packet.
        start = max(offset, self._counted_bytes)
        self._counted_bytes = max(self._counted_bytes, offset + len(data))
        data = data[start + -start % TS_PACKET_BYTES - offset :]
        if max(data[3::TS_PACKET_BYTES], default=0) < FIRST_SCRAMBLED:
            return
        for start in range(0, len(data) - 3, TS_PACKET_BYTES):
            if data[start] == TS_SYNC and data[start + 3] >= FIRST_SCRAMBLED:
                self.by_pid[(data[start + 1] & 0x1F) << 8 | data[start + 2]] += 1

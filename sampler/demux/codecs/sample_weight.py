"""Cost of decoding a macroblock, by the samples that it has. Runs in the decoder child.

Nothing here is trusted: where a head promises less than comes, decoding ends sooner
(sampler/decode/decoders/decoding_meter.py).
"""

from sampler.demux.codecs import av1, vp9

DEEP_WEIGHT = 1.5
"""Cost of a macroblock whose samples have over 8 bits, beside one of 8: 1.4 in H.265 and AV1, 1.7 in H.264. One of
4:4:4 costs 1.4 to 1.6 times one of 4:2:0, and with 10 bits 2.7 to 3 times, with 12 bits 3.0 to 3.3. While all counted
alike H.265 of 4:4:4 took 21 to 25 times a talking head's CPU."""
CHROMA_SAMPLES = {0: 1.0, 1: 1.0, 2: 4 / 3, 3: 2.0}
"""By chroma_format_idc (H.264, table 6-1): samples beside those of 4:2:0."""


def sample_weight(samples: float, bits: int) -> float:
    """Cost of a macroblock beside one of 4:2:0 and 8 bits.

    Args:
        samples: of luma and chroma, beside those of 4:2:0.
        bits: of a sample.
    """
    return max(samples, 1.0) * (DEEP_WEIGHT if bits > 8 else 1.0)


def weight_of_format(chroma: int, bits: int) -> float:
    """The same by chroma_format_idc."""
    return sample_weight(CHROMA_SAMPLES.get(chroma, max(CHROMA_SAMPLES.values())), bits)


def announced_weight(codec: str, packet: bytes, extradata: bytes) -> float:
    """The same of VP9, by the profile that a packet's first picture has, and of AV1, by the container's parameters; of
    others 1.0.

    Args:
        codec: name of the decoder.
        packet: of a keyframe.
        extradata: the container's parameters.
    """
    if codec in vp9.DECODERS and packet:
        # frame_marker, profile_low_bit, profile_high_bit (6.2): odd ones may have 4:4:4, the upper two 10 bits.
        return weight_of_format(3 if packet[0] & 0x20 else 1, 10 if packet[0] & 0x10 else 8)
    if codec in av1.DECODERS and extradata[:1] == av1.AV1C_MARK and len(extradata) > 2:
        # seq_profile; high_bitdepth, twelve_bit, monochrome, chroma_subsampling_x (AV1 in ISO media, 2.3.3).
        profile, flags = extradata[1] >> 5, extradata[2]
        chroma = 1 if profile == 0 else 3 if not flags & 0x08 else 2
        return weight_of_format(chroma, 10 if flags & 0x40 else 8)
    return 1.0

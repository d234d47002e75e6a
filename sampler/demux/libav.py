"""Translates FFmpeg's errors into those of `sampler.errors`. Runs in the decoder child, the only process of a worker
that loads FFmpeg."""

from av import error as libav

from sampler.errors import (
    DecoderMemoryError,
    SamplerError,
    TruncatedError,
    UndecodableError,
    UnsupportedCodecError,
    UnsupportedContainerError,
)

ERRORS: dict[type[Exception], type[SamplerError]] = {
    libav.MemoryError: DecoderMemoryError,
    libav.DecoderNotFoundError: UnsupportedCodecError,
    libav.DemuxerNotFoundError: UnsupportedContainerError,
    libav.PatchWelcomeError: UnsupportedCodecError,
    libav.NotImplementedError: UnsupportedCodecError,
    libav.ExperimentalError: UnsupportedCodecError,
    libav.EOFError: TruncatedError,
    libav.FFmpegError: UndecodableError,
}
"""FFmpeg's error to the sampler's; the first that fits. The input in memory is to blame for any other error: no file,
network or encoder plays a part."""


def translate(error: Exception) -> SamplerError:
    """The sampler's error for one of FFmpeg's; raise it `from` the cause. Its text quotes FFmpeg, never the input."""
    kind = next(ours for theirs, ours in ERRORS.items() if isinstance(error, theirs))
    return kind(f"FFmpeg: {getattr(error, 'strerror', None) or type(error).__name__}")

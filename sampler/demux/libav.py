"""FFmpeg's errors, made into ours. Runs in the decoder child only: the worker never imports FFmpeg."""

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
"""Ours for theirs, the first that fits. Whatever else FFmpeg says of an input in memory, the input is to blame: a
file, a network or an encoder plays no part in what we ask of it."""


def translate(error: Exception) -> SamplerError:
    """Our error for one of FFmpeg's; raise it `from` the cause. Its text holds FFmpeg's words, never the input's."""
    kind = next(ours for theirs, ours in ERRORS.items() if isinstance(error, theirs))
    return kind(f"FFmpeg: {getattr(error, 'strerror', None) or type(error).__name__}")

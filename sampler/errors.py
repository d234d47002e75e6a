"""Errors of the bytes of a stream, and of the process that decodes them.

SamplerError                          `reason`: the slug that the coverage ledger counts under
├── InputError                        what came is not something to take pictures from
│   ├── EmptyInputError               empty                  no bytes at all
│   ├── UnsupportedContainerError     unsupported_container  not a container that HLS carries, nor a known picture file
│   ├── NoVideoError                  no_video               a readable container without a video picture
│   │   └── AudioOnlyError            audio_only             packed audio, or subtitles: no pictures, by design
│   ├── EncryptedError                encrypted              sample encryption without a key
│   ├── TruncatedError                truncated              the bytes end before the first picture is complete
│   ├── UndecodableError              undecodable            damaged: FFmpeg or OpenCV gave no picture
│   ├── UnsupportedCodecError         unsupported_codec      a codec that we do not decode
│   ├── ImplausibleRateError          implausible_rate       more frames a second than any broadcast has
│   ├── TooSmallError                 too_small              fewer pixels than a picture needs to show anything
│   └── TooLargeError                 too_large              over a limit on bytes, pixels, frames or streams
└── DecoderError                      the decoder child
    ├── DecoderDiedError              decoder_died           it ended on a signal or on its own
    ├── DecoderTimeoutError           timeout                it used up its wall time and was killed
    ├── DecoderMemoryError            out_of_memory          it hit its memory bound
    └── DecoderUnavailableError       decoder_unavailable    it cannot be started here
"""

from typing import ClassVar

from config.errors import LivewardenError


class SamplerError(LivewardenError):
    """The root of this package's errors.

    Its text names what was expected and never holds bytes of the input.
    """

    reason: ClassVar[str]


class InputError(SamplerError):
    """The bytes are not something to take pictures from."""


class EmptyInputError(InputError):
    """There are no bytes."""

    reason = "empty"


class UnsupportedContainerError(InputError):
    """Neither a container that HLS carries nor, for a still, a picture file that we read."""

    reason = "unsupported_container"


class NoVideoError(InputError):
    """The container is readable and holds no video picture."""

    reason = "no_video"


class AudioOnlyError(NoVideoError):
    """Packed audio or subtitles: a segment that never had pictures."""

    reason = "audio_only"


class EncryptedError(InputError):
    """The samples are encrypted, and we have no key."""

    reason = "encrypted"


class TruncatedError(InputError):
    """The bytes end before the first picture is complete."""

    reason = "truncated"


class UndecodableError(InputError):
    """The bytes are damaged: no picture came out of them."""

    reason = "undecodable"


class UnsupportedCodecError(InputError):
    """The video is in a codec that we do not decode."""

    reason = "unsupported_codec"


class ImplausibleRateError(InputError):
    """The time stamps give more frames a second than any broadcast has."""

    reason = "implausible_rate"


class TooSmallError(InputError):
    """The picture has too few pixels to show anything."""

    reason = "too_small"


class TooLargeError(InputError):
    """The input is over a limit on bytes, pixels, frames or streams; the text names the limit."""

    reason = "too_large"


class DecoderError(SamplerError):
    """The decoder child failed, whatever the input was."""


class DecoderDiedError(DecoderError):
    """The decoder child ended while it worked.

    Attributes:
        exit_status: as `subprocess` gives it: negative is the number of the signal that ended it.
    """

    reason = "decoder_died"

    def __init__(self, text: str, *, exit_status: int) -> None:
        super().__init__(text)
        self.exit_status = exit_status


class DecoderTimeoutError(DecoderError):
    """The decoder child used up its wall time and was killed."""

    reason = "timeout"


class DecoderMemoryError(DecoderError):
    """The decoder child hit its memory bound; another one takes its place."""

    reason = "out_of_memory"


class DecoderUnavailableError(DecoderError):
    """The decoder child cannot be started on this machine."""

    reason = "decoder_unavailable"

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
│   │   └── HeadlessError             undecodable            all pictures lean on the segment before (frames.py)
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

    def __init_subclass__(cls, *, reason: str | None = None) -> None:
        super().__init_subclass__()
        if reason is not None:
            cls.reason = reason


class InputError(SamplerError):
    """The bytes are not something to take pictures from."""


class EmptyInputError(InputError, reason="empty"):
    """There are no bytes."""


class UnsupportedContainerError(InputError, reason="unsupported_container"):
    """Neither a container that HLS carries nor, for a still, a picture file that we read."""


class NoVideoError(InputError, reason="no_video"):
    """The container is readable and holds no video picture."""


class AudioOnlyError(NoVideoError, reason="audio_only"):
    """Packed audio or subtitles: a segment that never had pictures."""


class EncryptedError(InputError, reason="encrypted"):
    """The samples are encrypted, and we have no key."""


class TruncatedError(InputError, reason="truncated"):
    """The bytes end before the first picture is complete."""


class UndecodableError(InputError, reason="undecodable"):
    """The bytes are damaged: no picture came out of them."""


class UnsupportedCodecError(InputError, reason="unsupported_codec"):
    """The video is in a codec that we do not decode."""


class ImplausibleRateError(InputError, reason="implausible_rate"):
    """The time stamps give more frames a second than any broadcast has."""


class TooSmallError(InputError, reason="too_small"):
    """The picture has too few pixels to show anything."""


class TooLargeError(InputError, reason="too_large"):
    """The input is over a limit on bytes, pixels, frames or streams; the text names the limit."""


class DecoderError(SamplerError):
    """The decoder child failed, whatever the input was."""


class DecoderDiedError(DecoderError, reason="decoder_died"):
    """The decoder child ended while it worked.

    Attributes:
        exit_status: as `subprocess` gives it: negative is the number of the signal that ended it.
    """

    def __init__(self, text: str, *, exit_status: int) -> None:
        super().__init__(text)
        self.exit_status = exit_status


class DecoderTimeoutError(DecoderError, reason="timeout"):
    """The decoder child used up its wall time and was killed."""


class DecoderMemoryError(DecoderError, reason="out_of_memory"):
    """The decoder child hit its memory bound; another one takes its place.

    Attributes:
        at_bound: it had taken nearly all that any may, so that the same input in a fresh one would end so again. Else
            the machine may have had no more.
    """

    def __init__(self, text: str, *, at_bound: bool = False) -> None:
        super().__init__(text)
        self.at_bound = at_bound


class DecoderUnavailableError(DecoderError, reason="decoder_unavailable"):
    """The decoder child cannot be started on this machine."""

"""Errors between arrays and verdicts.

config.errors.LivewardenError
└── ModelsError
    ├── PictureError         an array that is no picture we can hash or classify
    ├── UnhashableError      a PDQ hash of too little quality was to be matched: that is not "no match"
    ├── HashFormatError      bits or a quality that are no PDQ hash
    ├── HashListError        a hash list is refused, whole; the text names file, line and what was expected
    ├── ListFormatError      a file of hashes is malformed; the text is `place: what was expected`, never a hash
    ├── BankError            the hash bank cannot do what was requested
    │   ├── ChangeError      a text is no change of the bank
    │   └── SnapshotError    a snapshot of the bank cannot be written, or is not whole; the text names folder or file
    └── ClassifierError      a classifier cannot be used
        ├── ManifestError    its manifest is not usable; the text names file, line and field
        ├── WeightsError     its weights are missing, altered, or do not fit the manifest
        ├── OnnxFileError    bytes that are no ONNX model
        ├── UnreadableError  a file cannot be read, or is no regular file in its place
        └── InferenceError   its session failed on a picture
            ├── InferenceTimeoutError   it took longer than its manifest allows
            └── ScoreError              it gave something that is no probability
"""

from config.errors import LivewardenError


class ModelsError(LivewardenError):
    """The root of this package's tree."""


class PictureError(ModelsError):
    """An array is not a picture of the expected shape, type or size; the text quotes what came."""


class UnhashableError(ModelsError):
    """A PDQ hash under the quality bound was to be matched.

    Flat and black pictures hash to noise, so "no match" would be an unchecked claim: count the picture as
    unhashable instead.
    """


class HashFormatError(ModelsError):
    """Bits are not the 32 bytes of a PDQ hash, or its quality is none from 0 to 100."""


class HashListError(ModelsError):
    """A hash list is refused, whole; the text is `file, line N: what was expected`."""


class ListFormatError(ModelsError):
    """A file of hashes is malformed, and refused as a whole. The text never holds a hash."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"{place}: {reason}")
        self.place = place
        """Place in the file: "line 7", "value[12]", "element 3"."""
        self.reason = reason
        """The expected content there."""


class BankError(ModelsError):
    """The hash bank cannot do what was requested; no text of this branch quotes a hash."""


class ChangeError(BankError):
    """A text is no change of the bank; the message names what was expected."""


class SnapshotError(BankError):
    """A snapshot of the bank cannot be written, or is not whole; the text names the folder or file, and the reason."""


class ClassifierError(ModelsError):
    """A classifier cannot be used."""


class ManifestError(ClassifierError):
    """A classifier's manifest is not usable; the text is `file, line N: field: what was expected`."""


class WeightsError(ClassifierError):
    """A classifier's weights are missing, altered, or do not fit the manifest; the text names the file."""


class OnnxFileError(ClassifierError):
    """Bytes are no ONNX model; the caller knows the file."""


class UnreadableError(ClassifierError):
    """A file cannot be read, or is no regular file in its place; the caller names it."""


class InferenceError(ClassifierError):
    """A classifier's session failed on a picture; the text holds nothing of the picture."""

    slug = "classifier-failed"
    """The reason in a verdict's `degraded`, followed by the model's name."""


class InferenceTimeoutError(InferenceError):
    """A classifier took longer for a picture than its manifest allows, and was stopped."""

    slug = "classifier-timeout"


class ScoreError(InferenceError):
    """A classifier gave something that is no probability: not a number, infinite, or outside of 0 to 1."""

    slug = "score-unusable"

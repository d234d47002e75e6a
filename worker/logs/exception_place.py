"""The place of an unexpected exception, for logs: its text may quote what a stream sent."""

import traceback
from pathlib import PurePath

_OURS = PurePath(__file__).parents[1]


def place_of(error: BaseException) -> str:
    """File, line and function of the innermost frame in `worker/`, or of the innermost frame if there is none."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if PurePath(frame.filename).is_relative_to(_OURS)] or frames
    return f"{PurePath(ours[-1].filename).name}:{ours[-1].lineno} {ours[-1].name}" if ours else "unknown"

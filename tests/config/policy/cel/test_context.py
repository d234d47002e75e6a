"""The context of a sample for conditions."""

import gc
from weakref import ref

from config.facts import SampleFacts, StreamFacts
from config.policy.cel.expressions import Context


def test_an_evaluated_sample_is_released() -> None:
    """A worker would grow by 5 kB with each picture, until the kernel kills it in the middle of a stream."""
    sample = SampleFacts(capture_ms=0, pts_seconds=0.0, reason="keyframe", pdq_quality=90, scores={"m/nsfw": 0.5})
    context = Context(StreamFacts(stream_id="cam-1"), sample)
    left = ref(context)
    gc.disable()  # a reference cycle through the CEL binding is never collected
    try:
        del context
        assert left() is None
    finally:
        gc.enable()

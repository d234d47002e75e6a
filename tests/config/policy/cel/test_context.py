"""The context that conditions see of a sample."""

import gc
from weakref import ref

from config.facts import SampleFacts, StreamFacts
from config.policy.cel.expressions import Context


def test_nothing_is_left_of_a_sample_that_was_judged() -> None:
    """A worker would grow by 5 kB with each picture, until the kernel kills it in the middle of a stream."""
    sample = SampleFacts(capture_ms=0, pts_seconds=0.0, reason="keyframe", pdq_quality=90, scores={"m/nsfw": 0.5})
    context = Context(StreamFacts(stream_id="cam-1"), sample)
    left = ref(context)
    gc.disable()  # what holds itself through the CEL binding is not collected at all
    try:
        del context
        assert left() is None
    finally:
        gc.enable()

"""Pictures that lean on what came before the keyframe that decoding begins with, however they say so.

Sections are those of ITU-T H.264.
"""

import pytest

from sampler.demux.codecs.references import (
    BE_LONG,
    FORGET,
    LONG_TERM,
    MAKE_LONG,
    RENEW,
    FrameNumbers,
    OutputOrder,
    ReferenceList,
    References,
    SliceHead,
)

NUMBERS = 16
KEYFRAME = 5


def head(
    number: int,
    *lists: ReferenceList,
    whole: bool = True,
    reference: bool = True,
    marking: tuple[tuple[int, int, int], ...] = (),
) -> SliceHead:
    renews = any(operation == RENEW for operation, _, _ in marking)
    return SliceHead(number, NUMBERS, whole, reference, lists, marking, None, 1, renews)


def listed(length: int, *named: tuple[int, int]) -> ReferenceList:
    return ReferenceList(length, named)


def field(number: int, *lists: ReferenceList, reference: bool = True) -> SliceHead:
    return head(number, *lists, whole=False, reference=reference)


ONE, TWO, THREE = listed(1), listed(2), listed(3)
OUTSIDE = {
    "in a list that is longer than the GOP": [head(5), head(6, TWO)],
    "in the second list": [head(5), head(6, ONE, listed(1, (0, 1)))],
    "in a second list that is longer": [head(5), head(6, ONE, TWO)],
    "after a keyframe that is no reference": [head(5, reference=False), head(5, ONE)],
    "once the keyframe is put out": [head(5), head(6, ONE, marking=((FORGET, 0, 0),)), head(7, TWO)],
    "once the keyframe is for long": [head(5), head(6, ONE, marking=((MAKE_LONG, 0, 0),)), head(7, THREE)],
    "a long-term one that is not there": [head(5), head(6, listed(1, (LONG_TERM, 0)))],
    "another long-term one": [head(5, marking=((BE_LONG, 0, 0),)), head(6, listed(1, (LONG_TERM, 1)))],
    "from a header that makes no sense": [head(5), None],
    "after a keyframe that makes no sense": [None, head(6, ONE)],
    "after a number that goes back": [head(5), head(4, ONE)],
    "after a number that stays": [head(5), head(5, ONE)],
    "by a name, from a field": [field(5), field(5, ONE), field(6, listed(1, (0, 3)))],
    "in a list of fields": [field(5), field(5, TWO)],
    "in a longer list of fields": [field(5), field(5, ONE), field(6, THREE)],
}
"""Heads of a keyframe and of pictures after it, of which the last one may lean on one before the keyframe."""
INSIDE = {
    "the keyframe": [head(5), head(6, ONE)],
    "all since the keyframe": [head(5), head(6, ONE), head(7, TWO, TWO)],
    "one of a number that begins anew": [head(15), head(0, ONE), head(1, listed(1, (0, 1)))],
    "the same, named twice": [head(5), head(6, listed(2, (0, 0), (1, 15), (0, 15)))],
    "a long-term one of the GOP": [head(5, marking=((BE_LONG, 0, 0),)), head(6, listed(1, (LONG_TERM, 0)))],
    "one that was made so": [head(5), head(6, ONE, marking=((MAKE_LONG, 0, 2),)), head(7, TWO)],
    "both fields of the keyframe": [field(5), field(5, ONE), field(6, TWO)],
    "the field before, by its name": [field(5), field(5, ONE), field(6, ONE), field(6, listed(1, (0, 0)))],
    "after all are put out": [head(5), head(6, ONE, marking=((RENEW, 0, 0),)), head(1, ONE)],
    "a frame that is missing": [head(5), head(8, THREE)],
    "nothing": [None, head(6)],
}


def leans(heads: list[SliceHead | None], references: References) -> list[bool]:
    references.begin(heads[0], idr=False)
    return [references.leans_outside(one, leading=False, first=True) for one in heads[1:]]


@pytest.mark.parametrize("heads", OUTSIDE.values(), ids=OUTSIDE.keys())
def test_what_leans_on_a_picture_before_the_keyframe_says_so(heads: list[SliceHead | None]) -> None:
    """Decoding would begin at that keyframe, and show what no player shows, without any error."""
    *before, last = leans(heads, References())
    assert not any(before)
    assert last


@pytest.mark.parametrize("heads", INSIDE.values(), ids=INSIDE.keys())
def test_what_leans_on_its_own_gop_does_not(heads: list[SliceHead | None]) -> None:
    """A GOP that stands alone would be decoded with the one before it, or be called made up at a border."""
    assert not any(leans(heads, References()))


def test_a_long_term_reference_of_the_gop_before_may_be_in_any_list() -> None:
    """It comes behind all others, and takes the place of one that is put out for it."""
    references = References()
    references.begin(head(0, marking=((BE_LONG, 0, 0),)), idr=True)
    assert leans([head(5), head(6, ONE)], references) == [True]
    references.begin(head(0), idr=True)
    assert leans([head(5), head(6, ONE)], references) == [False]


FOLLOWING = {
    "the next": (head(6, reference=False), True),
    "of the same number": (head(5, reference=False), True),
    "a later one": (head(8, reference=False), False),
    "one before": (head(4, reference=False), False),
    "one that makes no sense": (None, False),
}


@pytest.mark.parametrize(("leaf", "follows"), FOLLOWING.values(), ids=FOLLOWING.keys())
def test_a_picture_may_be_left_out_if_it_is_the_next(leaf: SliceHead | None, follows: bool) -> None:
    """A decoder puts references out for frames that seem to be missing: others would show what no player shows."""
    frames = FrameNumbers()
    assert not frames.follows(head(6, reference=False), 0, idr=False)
    frames.follows(head(KEYFRAME), 0, idr=False)
    assert frames.follows(leaf, 0, idr=False) == follows


def test_a_picture_of_another_sequence_is_not_left_out() -> None:
    """A decoder forgets all references, and has to see it."""
    frames = FrameNumbers()
    frames.follows(head(KEYFRAME), 0, idr=False)
    assert not frames.follows(head(6, reference=False), 1, idr=False)
    assert frames.follows(head(6, reference=False), 0, idr=False)


GAPS = {
    "none": ([head(6, reference=False), head(6)], False),
    "after a picture that no other leans on": ([head(6, reference=False), head(7)], True),
    "after a reference": ([head(7)], False),
    "after one that has come": ([head(6, reference=False), head(6), head(8)], False),
    "after one, in a header that makes no sense": ([head(6, reference=False), None], True),
}


@pytest.mark.parametrize(("pictures", "is_gap"), GAPS.values(), ids=GAPS.keys())
def test_frames_that_are_missing_are_counted_from_the_picture_before(
    pictures: list[SliceHead | None], is_gap: bool
) -> None:
    """Decoders make up as many as are missing: without the picture before it is another number of them."""
    frames = FrameNumbers()
    for one in (head(KEYFRAME), *pictures):
        frames.follows(one, 0, idr=False)
    assert frames.is_gap == is_gap


def test_no_frame_is_missing_before_an_instant_keyframe() -> None:
    """All pictures of each GOP would be decoded for nothing."""
    frames = FrameNumbers()
    for one, idr in ((head(5), False), (head(6, reference=False), False), (head(0), True)):
        frames.follows(one, 0, idr=idr)
    assert not frames.is_gap


ORDERS = {
    "on and on": ([0, 2, 4], False),
    "between others": ([0, 8, 4, 2, 6, 10], False),
    "from the beginning again": ([28, 30, 0, 2], False),
    "back": ([0, 2, 4, 1], True),
}


@pytest.mark.parametrize(("orders", "is_late"), ORDERS.values(), ids=ORDERS.keys())
def test_a_picture_that_comes_out_before_others_is_late(orders: list[int], is_late: bool) -> None:
    """Some players never show the GOP that begins there, and what they show for its time would not be sampled."""
    order = OutputOrder()
    for number, one in enumerate(orders):
        late = order.is_late(head(number)._replace(order=one, orders=32), idr=not number)
    assert late == is_late

"""The choice of an incident's pictures."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from config.policy.evidence import MAX_PICTURES, EvidenceLimits
from worker.evidence.item import EvidenceKind
from worker.evidence.record import EvidenceRecord
from worker.incidents.evidence_choice import MAX_NAMED_AT_LEISURE, EvidenceChoice, choose, name

LIMITS = EvidenceLimits()
ONE_SHADE = "0" * 64


def picture(number: int, **more: object) -> EvidenceRecord:
    """A hit that differs from all others, captured so many seconds from the beginning."""
    fields = {"kind": EvidenceKind.HIT, "capture_ms": number * 1000, "segment": f"segment-{number}"}
    return EvidenceRecord(
        ref=f"{number:032x}",
        sha256="a" * 64,
        picture_sha256=str(more.pop("picture_sha256", f"{number:064x}")),
        stream_id="s",
        pts_seconds=0.0,
        size_bytes=1,
        rule="r",
        severity=str(more.pop("severity", "high")),
        pdq=str(more.pop("pdq", "")),
        **{**fields, **more},
    )


def refs(choice: EvidenceChoice) -> list[int]:
    return [int(record.ref, 16) for record in choice.kept]


def test_the_first_and_the_most_telling_are_kept() -> None:
    """A reviewer would see twelve pictures, and not the one that calls for an act."""
    pictures = [picture(number, score=0.5) for number in range(20)]
    pictures[13] = picture(13, severity="critical", score=0.6)
    pictures[17] = picture(17, score=0.9)
    pictures[19] = picture(19, score=0.5, distance=3)
    choice = choose((), pictures, LIMITS)
    assert len(choice.kept) == MAX_PICTURES
    assert {0, 13, 17, 19} <= set(refs(choice))


def test_pictures_that_show_the_same_make_way_for_others() -> None:
    """Twelve pictures of one scene would hide the next one, where scores are a little lower."""
    same = [picture(number, score=0.9, pdq=ONE_SHADE) for number in range(20)]
    other = picture(30, score=0.7, pdq="f" * 64)
    assert 30 in refs(choose((), [*same, other], LIMITS))


def test_a_frozen_picture_is_named_once() -> None:
    """A stream that stands still would fill its places for good, before it shows what calls for an act."""
    frozen = [picture(number, pdq=ONE_SHADE, picture_sha256="c" * 64) for number in range(20)]
    choice = EvidenceChoice()
    for worse in (False, True):
        choice = name(choose(choice.kept, frozen, LIMITS), worse=worse, limits=LIMITS)
        assert [record.ref for record in choice.named] == [frozen[0].ref]
    telling = [picture(number, score=0.5) for number in range(30, 50)]
    choice = name(choose(choice.kept, telling, LIMITS), worse=True, limits=LIMITS)
    assert len(choice.named) == MAX_PICTURES - 1
    assert frozen[0].ref in {record.ref for record in choice.named}


def test_what_an_event_named_is_never_evicted() -> None:
    """A person would be shown a reference that leads nowhere."""
    choice = name(choose((), [picture(number) for number in range(1, 30)], LIMITS), worse=True, limits=LIMITS)
    named = {record.ref for record in choice.named}
    assert len(named) == MAX_PICTURES - 1
    worse = [picture(number, severity="critical", score=1.0) for number in range(40, 60)]
    after = choose(choice.kept, worse, LIMITS)
    assert named <= {record.ref for record in after.kept}
    assert len(after.kept) == MAX_PICTURES


def test_an_update_leaves_places_for_what_is_worse() -> None:
    """An incident that lasts would have no place for the worst of it."""
    choice = name(choose((), [picture(number) for number in range(30)], LIMITS), worse=False, limits=LIMITS)
    assert len(choice.named) == MAX_NAMED_AT_LEISURE
    assert {record.ref for record in choice.named} <= {record.ref for record in choice.promoted}


def test_of_known_material_one_picture_is_kept_unless_the_policy_says_otherwise() -> None:
    """People would look at known abuse more often than anybody needs to."""
    known = [picture(number, known=True, distance=number) for number in range(5, 10)]
    assert refs(choose((), known, LIMITS)) == [5]
    assert len(choose((), known, EvidenceLimits(known_material=3)).kept) == 3
    assert choose((), known, EvidenceLimits(known_material=0)).kept == ()


def test_the_picture_before_the_first_hit_is_kept_and_no_other_context() -> None:
    """Context of a hit that was not kept would take the place of what explains the first."""
    before = picture(5, kind=EvidenceKind.CONTEXT, segment="segment-6")
    stray = picture(8, kind=EvidenceKind.CONTEXT, segment="segment-9")
    choice = choose((), [picture(6), picture(9), before, stray], LIMITS)
    assert refs(choice) == [5, 6, 9]
    assert refs(choose(choice.kept, [stray, picture(9)], LIMITS)) == [5, 6, 9]


def test_with_room_for_one_the_picture_that_was_named_stays() -> None:
    """A policy of one picture would leave the first event without it."""
    limits = EvidenceLimits(pictures=1)
    choice = name(choose((), [picture(6)], limits), worse=True, limits=limits)
    assert [record.named for record in choice.kept] == [True]
    assert refs(choose(choice.kept, [picture(3)], limits)) == [6]


@settings(deadline=None)
@given(
    order=st.permutations(range(30)),
    sizes=st.lists(st.integers(1, 6), min_size=30, max_size=30),
    severities=st.lists(st.sampled_from(["critical", "high", "review"]), min_size=30, max_size=30),
    published=st.lists(st.sampled_from([None, False, True]), min_size=30, max_size=30),
)
def test_no_order_of_segments_loses_the_first_picture(
    order: list[int], sizes: list[int], severities: list[str], published: list[bool | None]
) -> None:
    """Segments end in any order: the beginning of what happened would be gone, or a named picture would."""
    pictures = [picture(number, severity=severities[number], score=number % 7 / 7) for number in range(30)]
    left, kept, named = list(order), tuple[EvidenceRecord, ...](), set[str]()
    seen: list[int] = []
    for size, event in zip(sizes, published, strict=True):
        batch, left = left[:size], left[size:]
        seen += batch
        choice = choose(kept, [pictures[number] for number in batch], LIMITS)
        if event is not None:
            choice = name(choice, worse=event, limits=LIMITS)
        before, kept = {record.ref for record in kept}, choice.kept
        named |= {record.ref for record in kept if record.named}
        assert len(kept) <= MAX_PICTURES
        assert min(refs(choice)) == min(seen)
        assert named <= {record.ref for record in kept}
        assert {replace(one).ref for one in choice.evicted} == before - {record.ref for record in kept}
        if not left:
            break

"""The pipeline on real clips, with its own decoder child, hash lists and classifier."""

import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from clips import RATE, card, clip, held, photo, shade
from hostile_media import segment
from media import CLOCK, cut, encode, filtered, keyframes, steady, x264
from padded_clips import X264, mildly, padded, with_insert
from stand_in import LATER, LIE, STAND_IN
from tinymodels import classifier, load_classifiers, mean_model

from config.facts import ALLOW, ListMatch, StreamFacts
from config.policy.policy import load_policy
from models.bank.bank import Bank
from models.bank.delta import BankChange, Delta
from models.bank.entries import Entry, HashKind, ListSpec
from models.classifiers.classifier import Classifier
from models.pdq.variant_kinds import Variant
from sampler.child.decoder import Decoder
from sampler.errors import DecoderDiedError, SamplerError
from sampler.limits import Limits
from sampler.picture import Picture
from worker.bank.allowance import allow_tags
from worker.bank.lists_in_force import ListsInForce, always
from worker.moderation.moderation_context import ModerationContext
from worker.moderation.pipeline import Pipeline
from worker.moderation.sample_coverage import CLASSIFIER_FAILED
from worker.moderation.verdict import SampleVerdict

DRILL = ModerationContext(stream=StreamFacts(stream_id="s", purpose="drill"), capture_ms=1_000_000)
LIVE = ModerationContext(stream=StreamFacts(stream_id="s"), capture_ms=1_000_000)
SEED = b"tests"


@pytest.fixture
def lost_classifier(tmp_path: Path) -> Classifier:
    """A classifier whose weights are gone when it first runs."""
    lost = classifier(tmp_path, mean_model())
    (tmp_path / "means.onnx").unlink()
    return lost


def test_the_test_card_in_a_drill_is_matched_and_hits_a_rule(pipeline: Pipeline) -> None:
    """Nobody could test the path to the moderators."""
    verdict = pipeline.moderate(clip(held(photo("coffee"), 2) + held(card(), 2)), context=DRILL, seed=SEED)
    hits = [hit for hit in verdict.hits if hit.rule == "selftest"]
    assert hits
    assert all(hit.pts_seconds >= 2 for hit in hits)
    assert hits[0].capture_ms == DRILL.capture_ms + round(hits[0].pts_seconds * 1000)


def test_the_test_card_on_a_live_stream_hits_nothing(pipeline: Pipeline) -> None:
    """A broadcaster could call moderators by showing it."""
    verdict = pipeline.moderate(clip(held(card(), 2)), context=LIVE, seed=SEED)
    assert verdict.samples[0].matches
    assert not verdict.hits


def test_a_concealed_picture_is_hashed_and_covers_nothing(pipeline: Pipeline) -> None:
    """With intra refresh each segment begins with concealed pictures: classifying them would double the cost."""
    stream = encode(x264(intra_refresh=1, keyint=50, bframes=0, scenecut=0), steady(150))
    (part,) = cut(stream, [60, 150])
    verdict = pipeline.moderate(part.data, context=LIVE, seed=SEED)
    smeared, *others = verdict.samples
    assert smeared.concealed
    assert smeared.scores == {}
    assert not smeared.deduplicated
    assert others
    assert all(sample.scores for sample in others)
    assert verdict.degraded == ()


def test_a_further_view_of_many_is_hashed_and_takes_nothing_from_its_picture(pipeline: Pipeline) -> None:
    """Time that is moderated would count as unclassified, or the segment as degraded, for each picture shown twice."""
    many = encode(x264(keyint=1), steady(100), lambda index: index // 5)
    turned = filtered(many, "h264_metadata=display_orientation=insert:rotate=180")
    verdict = pipeline.moderate(turned, context=LIVE, seed=SEED)
    hashed = [sample for sample in verdict.samples if not sample.classified]
    assert len(hashed) > 4
    assert {sample.pts_seconds for sample in hashed} <= {
        sample.pts_seconds for sample in verdict.samples if sample.classified
    }
    assert not any(sample.scores or sample.deduplicated or sample.concealed for sample in hashed)
    assert {stretch.reason for stretch in verdict.unmoderated} <= {"budget"}
    assert verdict.degraded == ()


def test_a_segment_with_pictures_only_in_its_last_second_is_reported(pipeline: Pipeline) -> None:
    """The ledger would call three unseen seconds moderated, or blame a truncated download."""
    data = segment(seconds=4.0, audio_seconds=4.0, video_from_seconds=3.0)
    verdict = pipeline.moderate(data, context=LIVE, seed=SEED)
    share = verdict.ledger_share(4_000)
    assert (share.moderated_ms, share.failed_ms) == (1_000, {"no_pictures": 3_000})
    # The picture is dated at the segment's end, not at its beginning.
    assert verdict.samples[0].capture_ms == pytest.approx(LIVE.capture_ms + 3_000, abs=100)


def test_a_stream_that_was_padded_of_late_is_decoded_whole(pipeline: Pipeline) -> None:
    """Its packets hid cuts: whoever found that out would look at the packets of the next segment again."""
    data = padded(X264, with_insert(X264), mildly)

    def decoded(number: float) -> int:
        stream = StreamFacts(stream_id="s", signals={"padded-pictures": number})
        verdict = pipeline.moderate(data, context=replace(LIVE, stream=stream), seed=SEED)
        return verdict.frames_decoded

    assert decoded(0.6) >= 100
    assert decoded(0.4) < 100, "it has faded"


def test_leading_pictures_of_the_next_segment_are_not_missed_in_this_one(pipeline: Pipeline) -> None:
    """FFmpeg's playlists count up to the next keyframe, before which a slow camera shows pictures for over a second:
    they are in the next segment, and this one would be reported as truncated."""
    slow = x264(open_gop=1, bframes=5, b_adapt=0, keyint=12, min_keyint=12, scenecut=0, rc_lookahead=20)
    whole = encode(slow, [number * CLOCK // 3 for number in range(24)])
    first, stop = keyframes(whole)[:2]
    (part,) = cut(whole, [first, stop])
    verdict = pipeline.moderate(part.data, context=LIVE, seed=SEED)
    assert verdict.duration_seconds < 3, "it holds what EXTINF promises"
    assert verdict.unmoderated == ()
    assert verdict.ledger_share(4_000).failed_ms == {}
    assert verdict.ledger_share(5_500).failed_ms.keys() == {"short"}


def test_a_segment_with_pictures_is_moderated_completely(pipeline: Pipeline) -> None:
    """The ledger would show gaps where there are none, and operators would stop reading it."""
    verdict = pipeline.moderate(clip(held(photo("astronaut"), 4)), context=LIVE, seed=SEED)
    assert verdict.unmoderated == ()
    share = verdict.ledger_share(4_000)
    assert (share.moderated_ms, share.failed_ms, share.unhashable_ms) == (4_000, {}, 0)
    assert verdict.frames_total == 4 * RATE
    assert all(sample.classified for sample in verdict.samples)


def test_black_is_moderated_and_reported_as_unhashable(pipeline: Pipeline) -> None:
    """Pictures that no list can match would be shown as checked."""
    verdict = pipeline.moderate(clip(held(shade(16), 4)), context=LIVE, seed=SEED)
    assert all(sample.pdq is None and not sample.matches for sample in verdict.samples)
    assert verdict.unhashable_seconds == pytest.approx(4, abs=0.1)
    assert verdict.counts["black"] == verdict.counts["unhashable"] == len(verdict.samples)
    assert verdict.ledger_share(4_000).moderated_ms == 4_000


def test_a_picture_beside_black_covers_what_it_reaches(pipeline: Pipeline) -> None:
    """A fade to black between scenes would be shown as a stretch that lists could not check."""
    pictures = held(photo("coffee"), 1) + held(shade(16), 4)
    verdict = pipeline.moderate(clip(pictures, gop_seconds=1), context=LIVE, seed=SEED)
    reach_seconds = load_policy(None).profile.max_gap_seconds
    last_hashed_seconds = max(sample.pts_seconds for sample in verdict.samples if sample.pdq is not None)
    assert last_hashed_seconds < 1
    assert verdict.unhashable_seconds == pytest.approx(5 - (last_hashed_seconds + reach_seconds), abs=0.1)


def test_a_still_scene_is_classified_once_and_counts_each_time(pipeline: Pipeline) -> None:
    """A still stream would cost a classifier run for each sample, or lose its scores."""
    data = clip(held(photo("chelsea"), 4))
    first = pipeline.moderate(data, context=LIVE, seed=SEED)
    assert [sample.deduplicated for sample in first.samples] == [False] + [True] * (len(first.samples) - 1)
    later = ModerationContext(stream=LIVE.stream, capture_ms=LIVE.capture_ms + 4_000)
    second = pipeline.moderate(data, context=later, seed=SEED, gate=first.gate)
    assert all(sample.deduplicated for sample in second.samples)
    assert all(sample.scores == first.samples[0].scores for sample in second.samples)


def test_a_scene_that_changes_slowly_is_classified_again(pipeline: Pipeline) -> None:
    """Content faded in so slowly that each picture resembles the previous one would never be classified."""
    picture, pictures = photo("chelsea").copy(), []
    for second in range(30):
        picture[10:16, 10 + 10 * second : 16 + 10 * second] = 255
        pictures += held(picture.copy(), 1)
    verdict = pipeline.moderate(clip(pictures), context=LIVE, seed=SEED)
    classified = [sample.pts_seconds for sample in verdict.samples if not sample.deduplicated]
    assert len(classified) < len(verdict.samples) / 2
    assert max(after - before for before, after in pairwise([*classified, 30.0])) <= 6


def test_a_late_segment_keeps_the_gate_state_of_a_later_one(pipeline: Pipeline) -> None:
    """Later pictures would be compared with a scene that had ended before, or get its scores."""
    later = ModerationContext(stream=LIVE.stream, capture_ms=LIVE.capture_ms + 10_000)
    gate = pipeline.moderate(clip(held(photo("coffee"), 2)), context=later, seed=SEED).gate
    assert gate is not None
    for scene in ("rocket", "coffee"):
        late = pipeline.moderate(clip(held(photo(scene), 4)), context=LIVE, seed=SEED, gate=gate)
        # Its own pictures it may repeat: a stream that lags would cost a classifier run for each sample.
        assert [sample.deduplicated for sample in late.samples] == [False] + [True] * (len(late.samples) - 1)
        assert late.gate == gate


def test_repeated_pictures_are_matched_too(pipeline: Pipeline) -> None:
    """The gate would hide a known picture that is held for long."""
    verdict = pipeline.moderate(clip(held(card(), 4)), context=DRILL, seed=SEED)
    assert len(verdict.samples) >= 2
    assert all(sample.matches for sample in verdict.samples)


def test_a_failing_classifier_degrades_and_does_not_stop_the_hash_check(
    decoder: Decoder, lost_classifier: Classifier
) -> None:
    """A broken model would stop the search for known material, or count as having classified."""
    pipeline = Pipeline(
        decoder=decoder, bank=always(ListsInForce(bank=Bank())), classifiers=[lost_classifier], policy=load_policy(None)
    )
    verdict = pipeline.moderate(clip(held(card(), 4)), context=DRILL, seed=SEED)
    assert verdict.degraded == (f"classifier-failed:{lost_classifier.name}",)
    assert [hit.rule for hit in verdict.hits] == ["selftest"] * len(verdict.samples)
    assert verdict.ledger_share(4_000).failed_ms == {CLASSIFIER_FAILED: 4_000}
    assert verdict.gate is None


def test_an_observer_gets_a_picture_only_with_its_matches(pipeline: Pipeline) -> None:
    """Evidence or a picture sheet would contain pictures that were not checked against the lists."""
    seen: list[SampleVerdict] = []

    def observe(picture: Picture, sample: SampleVerdict) -> None:
        assert (picture.width, picture.height) == (sample.width, sample.height)
        seen.append(sample)

    verdict = pipeline.moderate(clip(held(card(), 2)), context=DRILL, seed=SEED, observe=observe)
    assert tuple(seen) == verdict.samples
    assert all(sample.matches for sample in seen)


def test_cpu_of_all_stages_is_within_the_total(pipeline: Pipeline) -> None:
    """Capacity would be planned with incomplete figures."""
    cpu = pipeline.moderate(clip(held(photo("rocket"), 2)), context=LIVE, seed=SEED).cpu_seconds
    assert min(cpu.decode, cpu.hash, cpu.classify) > 0
    assert cpu.demux + cpu.decode + cpu.hash + cpu.match + cpu.classify <= cpu.total + 1e-6


def test_bytes_without_a_picture_fail_with_a_reason(pipeline: Pipeline) -> None:
    """The ledger could not say why a stretch was not moderated."""
    for data in (b"", b"<html>not a segment</html>", bytes(range(256)) * 40):
        with pytest.raises(SamplerError) as caught:
            pipeline.moderate(data, context=LIVE, seed=SEED)
        assert caught.value.reason


def test_a_mirrored_picture_is_found_if_a_list_asks_for_it(decoder: Decoder, pipeline: Pipeline) -> None:
    """Mirroring a film would hide known material; and a moderator must know that the match is mirrored."""
    film = clip(held(photo("coffee"), 2))
    pdq = pipeline.moderate(film, context=LIVE, seed=SEED).samples[0].pdq
    assert pdq is not None
    entry = Entry(entry="case-7", kind=HashKind.PDQ, value=bytes.fromhex(pdq))
    turned = clip(held(np.ascontiguousarray(photo("coffee")[:, ::-1]), 2))

    def matches(variants: tuple[Variant, ...]) -> tuple[ListMatch, ...]:
        spec = ListSpec(name="own", variants=variants)
        delta = Delta().applied(
            BankChange.put_list(spec, at_ms=0, id="1-0"), BankChange.add("own", entry, at_ms=0, id="2-0")
        )
        turning = Pipeline(
            decoder=decoder,
            bank=always(ListsInForce(bank=Bank(delta=delta), degraded=("stale-list:own",))),
            classifiers=load_classifiers(None),
            policy=load_policy(None),
        )
        verdict = turning.moderate(turned, context=LIVE, seed=SEED)
        assert verdict.degraded == ("stale-list:own",)
        assert verdict.list_versions["own"] == "empty+2-0"
        return verdict.samples[0].matches

    assert matches(()) == ()
    (match,) = matches((Variant.MIRROR,))
    assert (match.list, match.entry, match.variant, match.version) == ("own", "case-7", "mirror", "empty+2-0")
    assert match.distance <= 10


def test_an_allowed_picture_is_raised_for_review_while_the_allowance_lasts(
    decoder: Decoder, pipeline: Pipeline
) -> None:
    """A picture that a lead allowed would go on calling moderators, or known material would be hidden for good."""
    film = clip(held(photo("coffee"), 2))
    pdq = pipeline.moderate(film, context=LIVE, seed=SEED).samples[0].pdq
    assert pdq is not None
    entry = Entry(entry="case-7", kind=HashKind.PDQ, value=bytes.fromhex(pdq))

    def severities(until_ms: int) -> set[str]:
        allowed = replace(entry, tags=allow_tags("own", until_ms, "lea"))
        changes = [BankChange.put_list(ListSpec(name="own"), at_ms=0), BankChange.add("own", entry, at_ms=0)]
        bank = Bank(delta=Delta().applied(*changes, BankChange.add(ALLOW, allowed, at_ms=0)))
        allowing = Pipeline(
            decoder=decoder, bank=always(ListsInForce(bank=bank)), classifiers=(), policy=load_policy(None)
        )
        return {str(hit.severity) for hit in allowing.moderate(film, context=LIVE, seed=SEED).hits}

    now = round(time.time() * 1000)
    assert severities(now + 3_600_000) == {"review"}
    assert severities(now - 1) == {"critical"}


@pytest.mark.parametrize(
    "lie", ["silence", "no byte at all", "an error with control characters", "an infinite duration"]
)
def test_a_compromised_decoder_costs_the_next_stream_no_segment(lie: str) -> None:
    """A broadcaster could have other streams' segments reported as undecodable, or quarantined."""
    with Decoder(program=STAND_IN, limits=Limits(wall_seconds=2.0)) as taken_over:
        pipeline = Pipeline(
            decoder=taken_over, bank=always(ListsInForce(bank=Bank())), classifiers=(), policy=load_policy(None)
        )
        pipeline.moderate(LATER + lie.encode(), context=LIVE, seed=SEED)
        assert pipeline.moderate(clip(held(card(), 2)), context=LIVE, seed=SEED).samples[0].matches


def test_an_input_that_kills_its_own_decoder_is_tried_once() -> None:
    """Each retry of a hostile segment would take the decoder's whole time limit from others."""
    with Decoder(program=STAND_IN) as decoder:
        pipeline = Pipeline(
            decoder=decoder, bank=always(ListsInForce(bank=Bank())), classifiers=(), policy=load_policy(None)
        )
        for _ in range(2):
            with pytest.raises(DecoderDiedError):
                pipeline.moderate(LIE + b"silence", context=LIVE, seed=SEED)
            assert not decoder.shared

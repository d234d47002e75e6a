"""What a deployment needs, checked one by one, each with what to do about it.

A check never ends the others: an operator wants the whole list at once.
"""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import TypeVar

from config.counts import counted
from config.documents.names import unknown as unknown_name
from config.environment import load_settings
from config.errors import LivewardenError, PolicyError
from config.facts import ALLOW, SELFTEST
from config.policy.policy import Policy, load_policy
from config.settings import PREFIX, Settings
from config.variables import KNOWN, misspelt, unknown
from models.bank.bank import Bank
from models.classifiers.classifier import Classifier, WhenStuck
from models.classifiers.manifest import Category
from models.pdq.pdq import hash_rgb
from models.testcard import testcard
from sampler.child.decoder import Decoder
from worker.bank.in_force import open_what_is_there
from worker.doctor.bank import examine_bank
from worker.doctor.diagnosis import Diagnosis, State
from worker.doctor.epoch import examine_epoch
from worker.doctor.failing_rules import examine_failing
from worker.doctor.live import examine_live
from worker.doctor.messages import examine_intake
from worker.doctor.origins import examine_origins
from worker.doctor.policy import examine_policies
from worker.doctor.readers import examine_readers
from worker.doctor.redis import examine_redis
from worker.doctor.slow_streams import examine_slow
from worker.doctor.stuck_models import examine_stuck
from worker.doctor.verdict_log import examine_log_files
from worker.errors import ObjectStoreError
from worker.moderation.card_file import card_png
from worker.moderation.pipeline import UNCONFINED
from worker.moderation.stages import classifiers_for
from worker.policyload.active_policy import known_scores
from worker.runtime.confinement import ADVICE
from worker.store.object_store import ObjectStore

CARD_WIDTH, CARD_HEIGHT = 640, 360
"""Pixels of the test card that is sent through decoder, PDQ, lists and classifiers."""

CARD_SCORE = 0.9
"""Of the model for self-tests, at least (>=): it gives 0.99 where the card comes through whole."""

_PROBE = "doctor-probe"

T = TypeVar("T")


def examine(environment: Mapping[str, str], *, when_stuck: WhenStuck | None = None) -> Iterator[Diagnosis]:
    """Runs all checks, in the order in which an operator would mend things.

    Args:
        when_stuck: is told of a model's run that does not end.
    """
    yield _variables(environment)
    try:
        # Without what is misspelt, which is told by now.
        settings = load_settings({name: value for name, value in environment.items() if name in KNOWN})
    except LivewardenError as error:
        yield Diagnosis(name="settings", state=State.FAIL, found=str(error), advice="correct the variables named here")
        return
    yield from examine_origins(settings)
    policy = yield from _loaded("policy", lambda: load_policy(settings.policy_file), _describe_policy)
    lists = yield from _loaded("hash lists", lambda: open_what_is_there(settings).bank, _describe_lists)
    classifiers = yield from _loaded("classifiers", lambda: classifiers_for(policy, settings), _describe_classifiers)
    if policy is not None and lists is not None and classifiers is not None:
        yield _names_fit(settings, policy, lists, classifiers)
    if lists is not None and classifiers is not None:
        stuck = yield from examine_stuck(settings, [classifier.name for classifier in classifiers])
        yield _test_card(settings, lists, [one for one in classifiers if one.name not in stuck], when_stuck)
    yield from examine_redis(settings.redis_url.get_secret_value())
    yield from examine_epoch(settings)
    yield from examine_live(settings)
    yield from examine_intake(settings)
    yield from examine_readers(settings)
    yield from examine_bank(settings)
    yield from examine_policies(settings, policy)
    yield from examine_failing(settings)
    yield from examine_slow(settings)
    yield _store(settings)
    yield from examine_log_files(settings)


def _store(settings: Settings) -> Diagnosis:
    """Writes a file where the verdict log is, and removes it again."""
    try:
        store = ObjectStore(settings.store_url)
        store.write(_PROBE, b"livewarden doctor")
        store.remove(_PROBE)
    except ObjectStoreError as error:
        return Diagnosis(
            name="verdict log",
            state=State.WARN,
            found=str(error),
            advice=f"set {PREFIX}STORE_URL to where this can be written: without it nothing can be looked back on",
        )
    kept = f"{counted(settings.verdict_log_hours, 'hour', 'are')} kept and looked back on"
    return Diagnosis(name="verdict log", state=State.OK, found=f"can be written; {kept}")


def _variables(environment: Mapping[str, str]) -> Diagnosis:
    wrong, others = misspelt(environment), unknown(environment)
    if not wrong and not others:
        return Diagnosis(name="environment", state=State.OK, found=f"no unknown {PREFIX} variable")
    told = [f"{name} (did you mean {near}?)" if near else name for name, near in sorted((wrong | others).items())]
    return Diagnosis(
        name="environment",
        state=State.FAIL if wrong else State.WARN,
        found=f"not read by this version: {', '.join(told)}",
        advice="correct or remove them" + ("; a worker does not start like this" if wrong else ""),
    )


def _loaded(
    name: str, load: Callable[[], T], describe: Callable[[T], Diagnosis]
) -> Generator[Diagnosis, None, T | None]:
    """Loads something and tells about it; its value is what the generator returns, None if it cannot be loaded."""
    try:
        value = load()
    except LivewardenError as error:
        yield Diagnosis(
            name=name, state=State.FAIL, found=str(error), advice="a worker does not start like this: mend it first"
        )
        return None
    yield describe(value)
    return value


def _describe_policy(policy: Policy) -> Diagnosis:
    live = [rule.name for rule in policy.rules if rule.mode == "live"]
    found = f"version {policy.version}, profile {policy.profile.name}, live rules: {', '.join(live) or 'none'}"
    if live:
        return Diagnosis(name="policy", state=State.OK, found=found)
    return Diagnosis(
        name="policy", state=State.WARN, found=found, advice="set `mode: live` on a rule: shadow rules call nobody"
    )


def _describe_lists(lists: Bank) -> Diagnosis:
    found = ", ".join(f"{name} ({size:,})" for name, size in sorted(lists.sizes.items()) if size)
    if any(size for name, size in lists.sizes.items() if name not in {SELFTEST, ALLOW}):
        return Diagnosis(name="hash lists", state=State.OK, found=found)
    return Diagnosis(
        name="hash lists",
        state=State.WARN,
        found=f"{found}: no known material would be recognised",
        advice=(
            "bring lists in with `livewarden bank import LIST FILE`, or put NAME.csv files with a header `hash` or "
            f"`hash,id` into a folder and set {PREFIX}LISTS_DIR to it"
        ),
    )


def _describe_classifiers(classifiers: tuple[Classifier, ...]) -> Diagnosis:
    found = ", ".join(f"{one.manifest.name} {one.manifest.version}" for one in classifiers)
    return Diagnosis(name="classifiers", state=State.OK, found=f"{found}, weights as their manifests say")


def _names_fit(settings: Settings, policy: Policy, lists: Bank, classifiers: tuple[Classifier, ...]) -> Diagnosis:
    """A rule that asks for what does not exist never holds, and nobody would notice."""
    try:
        load_policy(settings.policy_file, known_scores=known_scores(settings))
    except PolicyError as error:
        return Diagnosis(
            name="rules",
            state=State.FAIL,
            found=str(error),
            advice="a worker does not start like this: correct the rules, or add the classifier",
        )
    running = {key for one in classifiers for key in one.keys}
    missing = [f"score {name} is always 0.0, its model does not run" for name in sorted(policy.asked_scores - running)]
    missing += [
        unknown_name("list", name, lists.sizes) for name in sorted(policy.asked_lists - set(lists.sizes) - {ALLOW})
    ]
    if not missing:
        return Diagnosis(name="rules", state=State.OK, found="every score and list that rules name exists")
    return Diagnosis(
        name="rules",
        state=State.WARN,
        found="; ".join(missing),
        advice="correct the rules, add the model to `cascade`, or bring the list in",
    )


def _test_card(
    settings: Settings, lists: Bank, classifiers: Sequence[Classifier], when_stuck: WhenStuck | None
) -> Diagnosis:
    """Sends the test card through decoder child, PDQ, lists and classifiers, as a picture of a stream would go."""
    advice = "see that this machine lets a child process start, and that packages are whole: reinstall livewarden"
    try:
        with Decoder() as decoder:
            rgb = decoder.picture(card_png(testcard(CARD_WIDTH, CARD_HEIGHT))).rgb()
            unconfined = decoder.unconfined
        matched = any(match.list == SELFTEST for match in lists.match(hash_rgb(rgb)))
        scores: dict[str, float] = {}
        for classifier in classifiers:
            classifier.prepare(when_stuck=when_stuck)
            scores |= classifier.scores(rgb)
    except LivewardenError as error:
        return Diagnosis(name="test card", state=State.FAIL, found=str(error), advice=advice)
    if not matched:
        return Diagnosis(name="test card", state=State.FAIL, found="decoded, but not recognised", advice=advice)
    if not any(scores[key] >= CARD_SCORE for one in classifiers for key in one.keys_about(Category.TESTCARD)):
        return Diagnosis(name="test card", state=State.FAIL, found="recognised, but not scored as one", advice=advice)
    if unconfined:
        return Diagnosis(
            name="test card",
            state=State.FAIL if settings.require_confinement else State.WARN,
            found=f"recognised, but the decoder child is not confined: {'; '.join(unconfined)}",
            advice=f"{ADVICE}; until then events are marked {UNCONFINED}",
        )
    return Diagnosis(name="test card", state=State.OK, found="decoded, recognised and scored; decoder child confined")

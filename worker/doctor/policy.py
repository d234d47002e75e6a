"""Checks of the policy, its models and the test card."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from redis import Redis

from config.counts import counted
from config.documents.names import unknown as unknown_name
from config.errors import LivewardenError, PolicyError
from config.facts import ALLOW, SELFTEST
from config.policy.policy import Policy, load_policy
from config.settings import Settings
from models.bank.bank import Bank
from models.classifiers.classifier import Classifier, WhenStuck
from models.classifiers.manifest import LabelCategory
from models.pdq.pdq import hash_rgb
from models.testcard import testcard
from sampler.child.decoder import Decoder
from worker.doctor.diagnosis import Diagnosis, State, fail, ok, warn
from worker.moderation.card_file import card_png
from worker.moderation.pipeline import UNCONFINED
from worker.policyload.breaker import STUCK_SECONDS
from worker.policyload.checked_policy import known_scores
from worker.policyload.watch import policy_reports
from worker.runtime.confinement import ADVICE

CARD_WIDTH, CARD_HEIGHT = 640, 360
"""Pixels of the test card that is sent through decoder, PDQ, lists and classifiers."""

CARD_SCORE = 0.9
"""Least score (>=) of the model for self-tests: it gives 0.99 where the card arrives complete."""


def check_policy(policy: Policy) -> Diagnosis:
    """Shows the policy, and warns where no rule is live."""
    live = [rule.name for rule in policy.rules if rule.mode == "live"]
    found = f"version {policy.version}, profile {policy.profile.name}, live rules: {', '.join(live) or 'none'}"
    if live:
        return ok("policy", found)
    return warn("policy", found, "set `mode: live` on a rule: shadow rules call nobody")


def check_classifiers(classifiers: Sequence[Classifier]) -> Diagnosis:
    """Shows the models that run."""
    found = ", ".join(f"{one.manifest.name} {one.manifest.version}" for one in classifiers)
    return ok("classifiers", f"{found}, weights as their manifests say")


def check_names(settings: Settings, policy: Policy, lists: Bank, classifiers: Sequence[Classifier]) -> Diagnosis:
    """Finds scores and lists that rules name and that do not exist: such a rule never holds."""
    try:
        load_policy(settings.policy_file, known_scores=known_scores(settings))
    except PolicyError as error:
        return fail("rules", str(error), "a worker does not start like this: correct the rules, or add the classifier")
    running = {key for one in classifiers for key in one.keys}
    missing = [
        f"score {name} is always 0.0, its model does not run" for name in sorted(policy.referenced_scores - running)
    ]
    missing += [
        unknown_name("list", name, lists.sizes) for name in sorted(policy.referenced_lists - set(lists.sizes) - {ALLOW})
    ]
    if not missing:
        return ok("rules", "every score and list that rules name exists")
    return warn("rules", "; ".join(missing), "correct the rules, add the model to `cascade`, or bring the list in")


def check_test_card(
    lists: Bank, classifiers: Sequence[Classifier], when_stuck: WhenStuck | None, *, required: bool
) -> Diagnosis:
    """Sends the test card through decoder child, PDQ, lists and classifiers, as a picture of a stream.

    Args:
        required: the decoder child must be confined.
    """
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
        return fail("test card", str(error), advice)
    if not matched:
        return fail("test card", "decoded, but not recognised", advice)
    if not any(scores[key] >= CARD_SCORE for one in classifiers for key in one.keys_about(LabelCategory.TESTCARD)):
        return fail("test card", "recognised, but not scored as one", advice)
    if unconfined:
        return Diagnosis(
            name="test card",
            state=State.FAIL if required else State.WARN,
            found=f"recognised, but the decoder child is not confined: {'; '.join(unconfined)}",
            advice=f"{ADVICE}; until then events are marked {UNCONFINED}",
        )
    return ok("test card", "decoded, recognised and scored; decoder child confined")


def examine_stuck(stuck: Collection[str]) -> Iterator[Diagnosis]:
    """Names models that workers leave out, since their runs do not end; no row where there are none."""
    if stuck:
        yield fail(
            "stuck models",
            f"workers do not run {', '.join(sorted(stuck))}: a run of it did not stop after its time limit",
            advice="its time on streams is `failed: classifier_failed`: take it out of the policy's cascade or of "
            f"LIVEWARDEN_MANIFESTS_DIR, or mend its graph; it is tried again every {STUCK_SECONDS // 60} minutes",
        )


def examine_policies(redis: Redis, policy: Policy | None) -> Iterator[Diagnosis]:
    """Compares the policies that running workers report with the file; no row where no worker runs.

    Args:
        policy: as the file is now; None: it is not usable, which another row reports.
    """
    reports = policy_reports(redis)
    if not reports:
        return
    name = "policy in force"
    versions = Counter(report.version for report in reports)
    found = ", ".join(f"{version} in {counted(count, 'process')}" for version, count in sorted(versions.items()))
    refused = sorted({report.problem for report in reports if report.problem})
    if refused:
        yield warn(
            name,
            f"{found}; the file as it is now is refused: {refused[0]}",
            "correct the file, with `livewarden policy check FILE`; workers then reload it",
        )
    elif policy is not None and set(versions) != {policy.version}:
        yield warn(
            name,
            f"{found}; the file here is {policy.version}",
            "wait some seconds after a change; else see that all workers have the same LIVEWARDEN_POLICY_FILE",
        )
    else:
        yield ok(name, found)

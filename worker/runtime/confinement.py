"""Checks that this machine lets the decoder child be confined, before a worker takes work."""

import logging

from config.settings import PREFIX, Settings
from models.testcard import testcard
from sampler.child.decoder import Decoder
from sampler.errors import SamplerError
from worker.errors import ConfinementError
from worker.moderation.card_file import card_png
from worker.moderation.pipeline import UNCONFINED

ADVICE = "let containers set seccomp filters of their own (prctl PR_SET_SECCOMP) and resource limits, as Docker does"

_log = logging.getLogger(__name__)


def unconfined_decoder() -> tuple[str, ...]:
    """Returns the powers that a decoder child keeps, in words; () where it is confined. Starts one and ends it.

    Raises:
        SamplerError: it cannot be started, or decodes nothing.
    """
    with Decoder() as decoder:
        decoder.picture(card_png(testcard(64, 64)))
        return decoder.unconfined


def check_confinement(settings: Settings) -> tuple[str, ...]:
    """Returns the same, where a worker may start nevertheless.

    Raises:
        ConfinementError: LIVEWARDEN_REQUIRE_CONFINEMENT is set, and a decoder is not confined, or cannot be tried.
    """
    try:
        missing = unconfined_decoder()
    except SamplerError as error:
        missing = (f"it does not work: {error}",)
    if missing and settings.require_confinement:
        raise ConfinementError(
            f"{PREFIX}REQUIRE_CONFINEMENT: the decoder child is not confined: {'; '.join(missing)}: {ADVICE}"
        )
    return missing


def log_unconfined(missing: tuple[str, ...]) -> None:
    """Logs a line for the operator, if something is missing."""
    if missing:
        _log.warning(
            "the decoder child is not confined, and events are marked %s: %s: %s",
            UNCONFINED,
            "; ".join(missing),
            ADVICE,
        )

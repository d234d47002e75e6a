"""Whether workers leave a model out, since its runs do not end: `livewarden doctor`'s part of it."""

from collections.abc import Generator, Sequence

from config.settings import Settings
from worker.doctor.diagnosis import Diagnosis, State
from worker.errors import StoreError
from worker.policyload.breaker import STUCK_SECONDS, stuck_models
from worker.store.redis_client import connect


def examine_stuck(settings: Settings, models: Sequence[str]) -> Generator[Diagnosis, None, frozenset[str]]:
    """Tells of models that are left out, and gives them; nothing where there are none, or where Redis is away: another
    check tells that."""
    try:
        with connect(settings.redis_url.get_secret_value(), retries=0) as redis:
            stuck = stuck_models(redis, models)
    except StoreError:
        return frozenset()
    if stuck:
        yield Diagnosis(
            name="stuck models",
            state=State.FAIL,
            found=f"workers do not ask {', '.join(sorted(stuck))}: a run of it did not stop after its time limit",
            advice="its time on streams is `failed: classifier_failed`: take it out of the policy's cascade or of "
            f"LIVEWARDEN_MANIFESTS_DIR, or mend its graph; it is tried again every {STUCK_SECONDS // 60} minutes",
        )
    return stuck

"""Whether workers judge by the policy that is meant: `livewarden doctor`'s part of it."""

from collections import Counter
from collections.abc import Iterator

from config.counts import counted
from config.policy.policy import Policy
from config.settings import Settings
from worker.doctor.diagnosis import Diagnosis, State
from worker.errors import StoreError
from worker.policyload.watch import policy_reports
from worker.store.redis_client import connect


def examine_policies(settings: Settings, policy: Policy | None) -> Iterator[Diagnosis]:
    """Checks what running workers say; nothing where there are none, or where Redis is away: another check tells that.

    Args:
        policy: as the file is now; None: it is not usable, which another check tells.
    """
    redis = connect(settings.redis_url.get_secret_value(), retries=0)
    try:
        reports = policy_reports(redis)
    except StoreError:
        return
    finally:
        redis.close()
    if not reports:
        return
    name = "policy in force"
    versions = Counter(report.version for report in reports)
    found = ", ".join(f"{version} in {counted(count, 'process')}" for version, count in sorted(versions.items()))
    refused = sorted({report.problem for report in reports if report.problem})
    if refused:
        yield Diagnosis(
            name=name,
            state=State.WARN,
            found=f"{found}; the file as it is now is refused: {refused[0]}",
            advice="correct the file, with `livewarden policy check FILE`; workers then take it by themselves",
        )
    elif policy is not None and set(versions) != {policy.version}:
        yield Diagnosis(
            name=name,
            state=State.WARN,
            found=f"{found}; the file here is {policy.version}",
            advice="wait some seconds after a change; else see that all workers have the same LIVEWARDEN_POLICY_FILE",
        )
    else:
        yield Diagnosis(name=name, state=State.OK, found=found)

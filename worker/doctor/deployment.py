"""Checks of the surroundings of a deployment: environment variables, allowed origins, object store."""

import asyncio
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence

from config.counts import counted
from config.errors import LivewardenError
from config.settings import PREFIX, Settings
from config.variables import misspelt, unknown
from worker.doctor.diagnosis import Diagnosis, fail, ok, warn
from worker.errors import ObjectStoreError
from worker.ingest.http.origins import AllowedOrigins, entry_for
from worker.ingest.http.resolver import Address, DnsCache, NameServers
from worker.ingest.http.urls import UrlTarget
from worker.store.object_store import ObjectStore

_PROBE = "doctor-probe"
_VARIABLE = f"{PREFIX}ALLOWED_ORIGINS"


def check_variables(environment: Mapping[str, str]) -> Diagnosis:
    """Finds variables with the prefix that no setting has."""
    wrong, others = misspelt(environment), unknown(environment)
    if not wrong and not others:
        return ok("environment", f"no unknown {PREFIX} variable")
    names = [f"{name} (did you mean {near}?)" if near else name for name, near in sorted((wrong | others).items())]
    found = f"not read by this version: {', '.join(names)}"
    if wrong:
        return fail("environment", found, "correct or remove them; a worker does not start like this")
    return warn("environment", found, "correct or remove them")


def check_store(settings: Settings) -> Diagnosis:
    """Writes a file into the store of verdict log and evidence, reads it back and removes it."""
    content = secrets.token_hex(16).encode()
    try:
        store = ObjectStore(settings.store_url)
        store.write(_PROBE, content)
        found = b"".join(store.chunks(_PROBE))
        store.remove(_PROBE)
    except ObjectStoreError as error:
        return warn(
            "verdict log",
            str(error),
            f"set {PREFIX}STORE_URL to a place that can be written: without it there is no look-back",
        )
    if found != content:
        return fail(
            "verdict log",
            "the store confirms a file and gives back another one",
            f"examine what {PREFIX}STORE_URL leads to, such as a cache: verdicts and evidence are not safe there",
        )
    kept = f"{counted(settings.verdict_log_hours, 'hour', 'are')} kept and looked back on"
    return ok("verdict log", f"can be written; {kept}")


def examine_origins(entries: Sequence[str]) -> Iterator[Diagnosis]:
    """Checks the allowed origins, and resolves the names among them."""
    try:
        origins = AllowedOrigins.parse(entries)
    except LivewardenError as error:
        yield fail("origins", str(error), f"correct {_VARIABLE}")
        return
    yield _allowed(origins, entries)
    if origins.names:
        yield _names(origins)


def _allowed(origins: AllowedOrigins, entries: Sequence[str]) -> Diagnosis:
    if origins.public_only:
        return warn(
            "origins",
            "any public address may be fetched from",
            f"name your origins in {_VARIABLE}: then a stream's URL leads nowhere else",
        )
    wide = [str(allowed.network) for allowed in origins.networks if allowed.network.prefixlen == 0]
    if wide:
        return warn(
            "origins",
            f"{', '.join(wide)} allows everything, your own network included",
            f"name your origins in {_VARIABLE}",
        )
    return ok("origins", f"only {', '.join(entries)}")


def _names(origins: AllowedOrigins) -> Diagnosis:
    """Names that resolve to private addresses that are not allowed: every fetch from them is refused."""
    found = asyncio.run(_resolved(sorted(origins.names, key=str)))
    refused = {
        target: private
        for target, addresses in found.items()
        if (private := [address for address in addresses if not origins.permits(target, address)])
    }
    if refused:
        leads = [
            f"{target} leads to {', '.join(map(str, addresses))}, which is not public"
            for target, addresses in refused.items()
        ]
        entries = [entry_for(address, target.port) for target, addresses in refused.items() for address in addresses]
        return warn(
            "origin names",
            "; ".join(leads),
            f"add {' '.join(dict.fromkeys(entries))}, or the network around it, to {_VARIABLE}",
        )
    if nowhere := _hosts(target for target, addresses in found.items() if not addresses):
        return ok("origin names", f"not known on this machine: {', '.join(nowhere)}")
    return ok("origin names", f"{', '.join(_hosts(found))}: may be fetched from")


def _hosts(targets: Iterable[UrlTarget]) -> list[str]:
    return list(dict.fromkeys(target.host for target in targets))


async def _resolved(targets: Sequence[UrlTarget]) -> dict[UrlTarget, Sequence[Address]]:
    """The addresses of each target; empty: it does not resolve."""
    servers = NameServers()
    names = DnsCache(servers.addresses)

    async def one(target: UrlTarget) -> Sequence[Address]:
        try:
            return await names.addresses(target.host, target.port)
        except OSError:
            return ()

    found = await asyncio.gather(*(one(target) for target in targets))
    await names.close()
    await servers.close()
    return dict(zip(targets, found, strict=True))

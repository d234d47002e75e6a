"""The allowed origins: what is on the list, and where its names lead from this machine."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence

from config.errors import LivewardenError
from config.settings import PREFIX, Settings
from worker.doctor.diagnosis import Diagnosis, State
from worker.ingest.http.origins import AllowedOrigins, entry_for
from worker.ingest.http.resolver import Address, Names, NameServers
from worker.ingest.http.urls import UrlTarget

_VARIABLE = f"{PREFIX}ALLOWED_ORIGINS"


def examine_origins(settings: Settings) -> Iterator[Diagnosis]:
    """Reads the list, and asks the name servers about the names on it."""
    try:
        origins = AllowedOrigins.parse(settings.allowed_origins)
    except LivewardenError as error:
        yield Diagnosis(name="origins", state=State.FAIL, found=str(error), advice=f"correct {_VARIABLE}")
        return
    yield _list(origins, settings.allowed_origins)
    if origins.names:
        yield _names(origins)


def _list(origins: AllowedOrigins, entries: Sequence[str]) -> Diagnosis:
    if origins.public_only:
        return Diagnosis(
            name="origins",
            state=State.WARN,
            found="any public address may be fetched from",
            advice=f"name your origins in {_VARIABLE}: then a stream's URL leads nowhere else",
        )
    wide = [str(allowed.network) for allowed in origins.networks if allowed.network.prefixlen == 0]
    if wide:
        return Diagnosis(
            name="origins",
            state=State.WARN,
            found=f"{', '.join(wide)} allows everything, your own network included",
            advice=f"name your origins in {_VARIABLE}",
        )
    return Diagnosis(name="origins", state=State.OK, found=f"only {', '.join(entries)}")


def _names(origins: AllowedOrigins) -> Diagnosis:
    """Names that lead to private addresses which are not on the list: every fetch from them is refused."""
    found = asyncio.run(_resolved(sorted(origins.names, key=str)))
    refused = {
        target: [address for address in addresses if not origins.permits(target, address)]
        for target, addresses in found.items()
    }
    told = [
        f"{target} leads to {', '.join(map(str, addresses))}, which is not public"
        for target, addresses in refused.items()
        if addresses
    ]
    if told:
        entries = [entry_for(address, target.port) for target, addresses in refused.items() for address in addresses]
        return Diagnosis(
            name="origin names",
            state=State.WARN,
            found="; ".join(told),
            advice=f"add {' '.join(dict.fromkeys(entries))}, or the network around it, to {_VARIABLE}",
        )
    unknown = _hosts(target for target, addresses in found.items() if not addresses)
    if unknown:
        return Diagnosis(name="origin names", state=State.OK, found=f"not known on this machine: {', '.join(unknown)}")
    return Diagnosis(name="origin names", state=State.OK, found=f"{', '.join(_hosts(found))}: may be fetched from")


def _hosts(targets: Iterable[UrlTarget]) -> list[str]:
    return list(dict.fromkeys(target.host for target in targets))


async def _resolved(targets: Sequence[UrlTarget]) -> dict[UrlTarget, Sequence[Address]]:
    """The addresses of each; empty: it does not resolve."""
    servers = NameServers()
    names = Names(servers.addresses)

    async def one(target: UrlTarget) -> Sequence[Address]:
        try:
            return await names.addresses(target.host, target.port)
        except OSError:
            return ()

    found = await asyncio.gather(*(one(target) for target in targets))
    await names.close()
    await servers.close()
    return dict(zip(targets, found, strict=True))

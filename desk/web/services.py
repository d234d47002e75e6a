"""Services that pages work with: one object, made when the desk starts."""

from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address, ip_network

from fastapi import Request
from jinja2 import Environment
from redis import Redis

from config.settings import Settings
from desk.accounts.accounts import Accounts, SignedIn
from desk.answers.answer_store import AnswerStore
from desk.deployment import DeskDeployment
from desk.insight.period_reports import PeriodReports
from desk.live.open_streams import OpenStreams
from desk.live.queue_feed import QueueFeed
from desk.live.watch_feed import WatchFeed
from desk.pictures.failed_openings import FailedOpenings
from desk.pictures.opening import PictureOpener
from desk.pictures.reading_pool import ReadingPool
from desk.preferences.preference_store import PreferenceStore
from desk.reports.case_reports import CaseReports
from desk.texts.catalogue import Texts
from desk.web.cookies import cookie_name
from desk.welfare.clear_grants import ClearGrants
from desk.welfare.exposure import ExposureLog


@dataclass(frozen=True, kw_only=True)
class DeskServices:
    """Everything that outlives a request."""

    settings: Settings
    deployment: DeskDeployment
    redis: Redis
    accounts: Accounts
    preferences: PreferenceStore
    exposure: ExposureLog
    clear_grants: ClearGrants
    opener: PictureOpener
    reading: ReadingPool
    failed_openings: FailedOpenings
    texts: Texts
    templates: Environment
    answers: AnswerStore
    reports: CaseReports
    insight: PeriodReports
    feed: QueueFeed
    watch: WatchFeed
    streams: OpenStreams

    def proxied_name(self, request: Request) -> str | None:
        """The person whom the proxy vouches for; None: the request does not come from it, or names nobody."""
        header, peer = self.deployment.proxy_header, request.client
        if not header or peer is None or not self.deployment.is_proxy(peer.host):
            return None
        named = request.headers.getlist(header)
        # Two: the proxy passed a client's own header on.
        if len(named) != 1:
            return None
        # ASGI decodes headers as Latin-1; proxies send names in UTF-8.
        return named[0].encode("latin-1").decode("utf-8", "replace").strip() or None

    def who(self, request: Request) -> SignedIn | None:
        """The person of a request; None: nobody is signed in."""
        if self.deployment.proxy_header:
            name = self.proxied_name(request)
            return None if name is None else self.accounts.find_behind_proxy(name)
        return self.accounts.find(request.cookies.get(cookie_name(secure=self.deployment.secure), ""))

    def address(self, request: Request) -> str:
        """The address of the person's machine, as failures are counted by: the peer, or the last that our own proxy
        saw."""
        peer = "" if request.client is None else request.client.host
        # Some proxies add a header of their own below the client's: the last of all is theirs.
        seen = ",".join(request.headers.getlist("x-forwarded-for")).rpartition(",")[2].strip()
        return network_of(seen[:64] if seen and self.deployment.is_proxy(peer) else peer)


def network_of(address: str) -> str:
    """The address; of IPv6 the network of 64 bits, for whoever has one address has all of them."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if isinstance(found, IPv4Address):
        return str(found)
    return str(found.ipv4_mapped or ip_network((found, 64), strict=False))


def services_of(request: Request) -> DeskServices:
    """The desk's services; a dependency of pages."""
    services: DeskServices = request.app.state.services
    return services

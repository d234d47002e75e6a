"""The web application, put together from its parts."""

from functools import partial

from fastapi import FastAPI
from redis import Redis

from config.settings import Settings
from desk.accounts.accounts import Accounts
from desk.accounts.entry_link import EntryLink
from desk.answers.answer_store import AnswerStore
from desk.database.connection import DeskDatabase
from desk.deployment import DeskDeployment
from desk.insight.period_reports import PeriodReports, report_maker
from desk.live.open_streams import OpenStreams
from desk.live.queue_feed import QueueFeed
from desk.live.watch_feed import WatchFeed
from desk.pages import (
    after_acts,
    case,
    case_hold,
    deciding,
    files,
    insight,
    looks,
    own_sessions,
    package,
    people,
    pictures,
    queue,
    report,
    sign_in,
    welfare,
)
from desk.pages import settings as settings_page
from desk.pages.entry import entry_router
from desk.pages.refusals import add_refusals
from desk.pictures.failed_openings import FailedOpenings
from desk.pictures.opening import PictureOpener
from desk.pictures.reading_pool import ReadingPool
from desk.preferences.preference_store import PreferenceStore
from desk.reports.case_reports import CaseReports
from desk.texts.catalogue import load_texts
from desk.web.guard import Guard
from desk.web.rendering import template_environment
from desk.web.services import DeskServices
from desk.web.static_files import StaticFiles
from desk.welfare.breaks import BreakRule
from desk.welfare.clear_grants import ClearGrants
from desk.welfare.exposure import ExposureLog
from worker.evidence.reading import EvidenceReader
from worker.evidence.sealing import Identity
from worker.queue.case_order import LongestWaits
from worker.store.redis_client import now_ms, store_errors


def make_app(
    deployment: DeskDeployment,
    *,
    settings: Settings,
    redis: Redis,
    database: DeskDatabase,
    accounts: Accounts,
    entry_link: EntryLink | None = None,
) -> FastAPI:
    """The application of one desk. It has no documentation pages: they load scripts from elsewhere.

    Args:
        entry_link: signs a person in once, without a password; None: there is no such page.
    """
    texts, static = load_texts(), StaticFiles.load()
    breaks = BreakRule(after_minutes=settings.desk_break_after_minutes, rest_minutes=settings.desk_break_minutes)
    # No redirects to a path without its slash: they would name the scheme behind the proxy, and lead out of TLS.
    app = FastAPI(title="Livewarden", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    app.state.static = static
    app.state.services = DeskServices(
        settings=settings,
        deployment=deployment,
        redis=redis,
        accounts=accounts,
        preferences=PreferenceStore(database),
        exposure=ExposureLog(database, breaks, now_ms=accounts.now_ms),
        clear_grants=ClearGrants(database, now_ms=accounts.now_ms),
        opener=PictureOpener(lambda: EvidenceReader.of(redis, settings), lambda: Identity.of(settings)),
        reading=ReadingPool(),
        failed_openings=FailedOpenings(),
        texts=texts,
        templates=template_environment(texts, static),
        answers=AnswerStore(database, now_ms=partial(_redis_ms, redis)),
        reports=CaseReports(settings, redis),
        insight=PeriodReports(report_maker(settings, redis)),
        feed=QueueFeed(redis, LongestWaits.of(settings)),
        watch=WatchFeed(redis),
        streams=OpenStreams(),
    )
    case_pages = (case, case_hold, deciding, after_acts, pictures, looks, report, package)
    for page in (sign_in, settings_page, welfare, queue, *case_pages, insight, people, own_sessions, files):
        app.include_router(page.router)
    app.state.entry_link = entry_link
    if entry_link is not None:
        app.include_router(entry_router(entry_link))
    add_refusals(app)
    app.add_middleware(Guard, deployment=deployment, texts=texts)
    return app


def _redis_ms(redis: Redis) -> int:
    with store_errors():
        return now_ms(redis)

"""The web application, put together from its parts."""

from fastapi import FastAPI
from redis import Redis

from config.settings import Settings
from desk.accounts.accounts import Accounts
from desk.accounts.entry_link import EntryLink
from desk.database.connection import DeskDatabase
from desk.deployment import DeskDeployment
from desk.live.open_streams import OpenStreams
from desk.live.queue_feed import QueueFeed
from desk.live.watch_feed import WatchFeed
from desk.pages import case, case_hold, files, people, queue, sign_in
from desk.pages import settings as settings_page
from desk.pages.entry import entry_router
from desk.pages.refusals import add_refusals
from desk.preferences.preference_store import PreferenceStore
from desk.texts.catalogue import load_texts
from desk.web.guard import Guard
from desk.web.rendering import template_environment
from desk.web.services import DeskServices
from desk.web.static_files import StaticFiles
from worker.queue.case_order import LongestWaits


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
    app = FastAPI(title="Livewarden", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.static = static
    app.state.services = DeskServices(
        settings=settings,
        deployment=deployment,
        redis=redis,
        accounts=accounts,
        preferences=PreferenceStore(database),
        texts=texts,
        templates=template_environment(texts, static),
        feed=QueueFeed(redis, LongestWaits.of(settings)),
        watch=WatchFeed(redis),
        streams=OpenStreams(),
    )
    for page in (sign_in, settings_page, queue, case, case_hold, people, files):
        app.include_router(page.router)
    app.state.entry_link = entry_link
    if entry_link is not None:
        app.include_router(entry_router(entry_link))
    add_refusals(app)
    app.add_middleware(Guard, deployment=deployment, texts=texts)
    return app

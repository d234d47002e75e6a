"""`livewarden desk`: serves the desk until Ctrl-C. A plug-in of the command line (`livewarden.commands`)."""

import os
import time
from contextlib import ExitStack
from typing import Annotated

import typer


def desk(
    link_for: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Print a link that signs NAME in once; on this machine only."),
    ] = None,
) -> None:
    """Serve the desk, the web application in which people judge incidents, until Ctrl-C.

    Its settings are in docs/settings.md. While there is no account it prints a one-time link, which
    begins the roster with a lead. `--link-for` needs that person's token in LIVEWARDEN_TOKEN or a file that
    LIVEWARDEN_TOKEN_FILE names; the demo uses it.
    """
    from config.errors import SettingsError
    from desk.accounts.accounts import Accounts
    from desk.accounts.entry_link import EntryLink
    from desk.app import make_app
    from desk.bound_sockets import bound_sockets
    from desk.database.connection import open_database
    from desk.deployment import LOOPBACK, deployment_of
    from desk.serving import DeskServer
    from worker.cli.options import token_of_person
    from worker.runtime.environment import settings_of
    from worker.store.redis_client import connect

    settings = settings_of(os.environ)
    deployment = deployment_of(settings)
    redis = connect(settings.redis_url.get_secret_value())
    with ExitStack() as ends:
        # First: a desk that cannot serve must not replace the link of the one that does.
        sockets = ends.enter_context(bound_sockets(deployment.listen_host, deployment.listen_port))
        ends.callback(redis.close)
        database = open_database(deployment.database_url)
        ends.callback(database.close)
        accounts = Accounts(
            database, redis, now_ms=lambda: time.time_ns() // 1_000_000, proxy_secret=deployment.proxy_secret
        )
        typer.echo(f"desk: {deployment.origin}")
        entry_link = None
        if link_for is not None:
            if deployment.secure or deployment.proxy_header or deployment.listen_host not in LOOPBACK:
                raise SettingsError("--link-for: only where the desk is on this machine: anybody with the link gets in")
            token = token_of_person()
            if not token:
                raise SettingsError(
                    "--link-for: needs that person's token in LIVEWARDEN_TOKEN or LIVEWARDEN_TOKEN_FILE"
                )
            entry_link = EntryLink(name=link_for, roster_token=token)
            typer.echo(f"for {link_for}, once: {deployment.origin}/enter/{entry_link.secret}")
        link = None if deployment.proxy_header or entry_link else accounts.renew_link()
        if link is not None:
            typer.echo(
                f"nobody has an account yet; for the first lead, once, within 24 h: {deployment.origin}/start/{link}"
            )
        app = make_app(
            deployment, settings=settings, redis=redis, database=database, accounts=accounts, entry_link=entry_link
        )
        server = DeskServer(app)
        server.run(sockets)
        app.state.services.feed.join()

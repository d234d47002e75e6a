"""`livewarden desk`: serves the desk until Ctrl-C. A plug-in of the command line (`livewarden.commands`)."""

import os
import time

import typer


def desk() -> None:
    """Serve the desk, the web application in which people judge incidents, until Ctrl-C.

    Its settings are in docs/settings.md. While there is no account it prints a one-time link, which
    begins the roster with a lead.
    """
    from desk.accounts.accounts import Accounts
    from desk.app import make_app
    from desk.database.connection import open_database
    from desk.deployment import deployment_of
    from desk.serving import DeskServer
    from worker.runtime.environment import settings_of
    from worker.store.redis_client import connect

    settings = settings_of(os.environ)
    deployment = deployment_of(settings)
    redis = connect(settings.redis_url.get_secret_value())
    database = open_database(deployment.database_url)
    try:
        accounts = Accounts(
            database, redis, now_ms=lambda: time.time_ns() // 1_000_000, proxy_secret=deployment.proxy_secret
        )
        typer.echo(f"desk: {deployment.origin}")
        link = None if deployment.proxy_header else accounts.renew_link()
        if link is not None:
            typer.echo(
                f"nobody has an account yet; for the first lead, once, within 24 h: {deployment.origin}/start/{link}"
            )
        app = make_app(deployment, settings=settings, redis=redis, database=database, accounts=accounts)
        server = DeskServer(app, host=deployment.listen_host, port=deployment.listen_port)
        server.run()
        app.state.services.feed.join()
    finally:
        database.close()
        redis.close()

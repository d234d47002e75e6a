"""`livewarden statistics`: what was watched, raised and decided on each day."""

import os
from typing import Annotated

import typer

from worker.cli.json_lines import print_json
from worker.cli.options import Json
from worker.ingest.coverage.totals import KEPT_DAYS, totals
from worker.ingest.registry.registration import Purpose
from worker.runtime.environment import settings_of
from worker.store.redis_client import connect


def statistics(
    days: Annotated[
        int, typer.Option(min=1, max=KEPT_DAYS, help=f"How many days, with today; {KEPT_DAYS} are kept.")
    ] = 7,
    purpose: Annotated[str, typer.Option(help="live, drill or canary.")] = "live",
    as_json: Json = False,
) -> None:
    """Show what was watched, raised and decided on each day (UTC), also of streams whose records are gone."""
    if purpose not in tuple(Purpose):  # Python 3.11 has no "str in StrEnum"
        raise typer.BadParameter(f"{purpose!r} is none of {', '.join(Purpose)}", param_hint="--purpose")
    settings = settings_of(os.environ)
    found = [one for one in totals(connect(settings.redis_url.get_secret_value()), days=days) if one.purpose == purpose]
    if as_json:
        for one in found:
            print_json(one.to_data())
        return
    if not found:
        typer.echo(f"Nothing was counted of {purpose} streams in {days} days.")
        return
    from worker.cli.statistics_view import print_totals

    print_totals(found)

"""What Celery's command line loads before it looks for an app: our packages, so that `celery -A worker.app` finds them.

Celery puts the current folder before all others while it imports an app (celery/utils/imports.py, `cwd_in_path`), and
packages of an application have short names: a `config.py` or `models/` that lies there would be taken for ours. The
modules of a package that is imported are looked for in that package alone. An entry point of the group
`celery.commands` is what Celery imports first.
"""

import click

import config
import models
import sampler
import worker

PRELOADED = (config, models, sampler, worker)


@click.command("livewarden", hidden=True)
def command() -> None:
    """Says where the commands are."""
    click.echo("livewarden's commands are those of `livewarden --help`")

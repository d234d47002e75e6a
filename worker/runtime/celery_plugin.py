"""Loaded by Celery's command line before it searches for an app: imports Livewarden's packages, so that it finds them.

Celery puts the current folder before all others while it imports an app (celery/utils/imports.py, `cwd_in_path`), and
packages of an application have short names: a `config.py` or `models/` that lies there would be taken for Livewarden's.
The modules of an imported package are searched for in that package alone. Celery imports entry points of the group
`celery.commands` first.
"""

import click

import config
import models
import sampler
import worker

PRELOADED = (config, models, sampler, worker)


@click.command("livewarden", hidden=True)
def command() -> None:
    """Prints where the commands are."""
    click.echo("livewarden's commands are those of `livewarden --help`")

"""Prints docs/settings.md: `python -m tools.settings_docs > docs/settings.md`."""

from config.variables import VARIABLES, ReadBy, Variable

HEAD = """\
# Settings

Made from `config/variables.py` by `python -m tools.settings_docs`. Every setting is an environment variable; an empty
or blank one counts as unset.

A worker, beat or command that finds a variable wrong prints a line for each and does not start; so it does for a name
that is one typo away from one of these. Other names `LIVEWARDEN_…` are logged and ignored: a newer version may read
them. A worker checks all folders and files that are set, and makes its own where they are missing; those of evidence,
without which it moderates all the same, are logged instead. A command does so with those that it uses, and beat with
`LIVEWARDEN_HEARTBEAT_FILE` alone.

[operations.md](operations.md#allowed-origins) has the syntax of `LIVEWARDEN_ALLOWED_ORIGINS`.

| variable | sets | default | read by |
|---|---|---|---|
"""


def main() -> None:
    print(document(), end="")


def document() -> str:
    """The whole document, as Markdown."""
    return HEAD + "".join(f"{_row(one)}\n" for one in VARIABLES if one.read_by is not ReadBy.TESTS)


def _row(variable: Variable) -> str:
    default = f"`{variable.default}`" if variable.default else ""
    return f"| `{variable.name}` | {variable.sets} | {default} | {variable.read_by} |"


if __name__ == "__main__":
    main()

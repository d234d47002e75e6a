"""Folders of installed Python packages, found and never imported: some of them fetch things when they are."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path


def installed_folder(name: str) -> Path | None:
    """The folder of a top-level package; None: no package of that name is installed.

    Args:
        name: without dots, for to find an inner package its outer one is imported.
    """
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):  # __main__, an empty name
        return None
    folders: Sequence[str] = () if spec is None else spec.submodule_search_locations or ()
    return Path(folders[0]) if folders else None

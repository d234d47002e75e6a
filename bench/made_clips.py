"""Clips that are made on all cores before anything is measured, or come from a folder."""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import cache
from threading import Lock

from rich.progress import Progress

from bench.hidden_clips import ClipFolder, HiddenClip, MakeClip
from bench.material import Reel
from bench.staging import PHOTOGRAPHS, photograph_loop

os.environ.setdefault("SVT_LOG", "1")  # read by its library: errors only


def lazy_reel(films: Sequence[str], *, width: int, height: int) -> Callable[[], Reel]:
    """A function that loads the films, and the photographs, when it is first called: not if all clips are kept."""
    lock = Lock()

    @cache
    def load() -> Reel:
        reel = Reel(films, width=width, height=height)
        reel.loops |= {name: photograph_loop(name, width, height) for name in PHOTOGRAPHS}
        return reel

    def reel() -> Reel:
        with lock:
            return load()

    return reel


def made_clips(
    makes: Mapping[str, Sequence[MakeClip]], folder: ClipFolder, progress: Progress
) -> dict[str, list[HiddenClip]]:
    """The clips of each name, which names them in the folder too."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        futures = {
            name: [pool.submit(folder.clip, f"{name}-{number}", make) for number, make in enumerate(several)]
            for name, several in makes.items()
        }
        every = [future for several in futures.values() for future in several]
        task = progress.add_task("encoding", total=len(every))
        for _ in as_completed(every):
            progress.advance(task)
        progress.remove_task(task)
    return {name: [future.result() for future in several] for name, several in futures.items()}

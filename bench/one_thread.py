"""One thread for the work of NumPy and OpenCV, as in a worker."""

import os
import sys

import cv2

from worker.processes.blas_threads import BLAS_VARIABLES

ONE_THREAD = dict.fromkeys(BLAS_VARIABLES, "1")


def on_one_thread(module: str) -> None:
    """Restarts this process, `python -m module` with its arguments, unless BLAS works in one thread.

    NumPy reads the number of threads when it is imported.
    """
    if not ONE_THREAD.items() <= os.environ.items():
        os.execve(sys.executable, [sys.executable, "-m", module, *sys.argv[1:]], os.environ | ONE_THREAD)
    cv2.setNumThreads(1)

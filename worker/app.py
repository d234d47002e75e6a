"""The Celery app: `celery -A worker.app worker` and `celery -A worker.app beat` need no further argument.

This prepares the process before anything else is imported; the app itself is `worker.runtime.celery_app`.
"""

import os

from worker.processes.import_path import leave_out_current_folder

# Before any foreign package is imported.
leave_out_current_folder()

from worker.processes.blas_threads import keep_numpy_to_one_thread

# Before anything imports NumPy, whose BLAS reads this once.
keep_numpy_to_one_thread(os.environ)

from worker.processes.core_dumps import forbid_dumps

# Before the settings are read, which may hold a password; pool children are forked from this process.
forbid_dumps()

from worker.runtime import lifecycle
from worker.runtime.celery_app import app

__all__ = ["app", "lifecycle"]

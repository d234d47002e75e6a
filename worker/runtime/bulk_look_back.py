"""Searches the verdict log for whole lists: `python -m worker.runtime.bulk_look_back`, started by a worker's main
process."""

import logging
import os

from config.environment import load_settings
from config.errors import LivewardenError
from worker.logs.setup import log_format_of, set_up_logging
from worker.lookback.bulk import look_back_in_bulk
from worker.lookback.file_search import IN_BULK
from worker.processes.core_dumps import forbid_dumps
from worker.processes.subprocess_job import give_way
from worker.runtime.worker_process import WorkerProcess

_log = logging.getLogger(__name__)


def main() -> None:
    """Looks back for all lists that wait, as the environment says."""
    forbid_dumps()
    set_up_logging(logging.INFO, log_format_of(os.environ))
    give_way()
    process = WorkerProcess(load_settings(os.environ))
    try:
        look_back_in_bulk(process.lookback(pace=IN_BULK))
    except LivewardenError as error:
        _log.warning("looking back for a whole list: %s", error)
        raise SystemExit(1) from error
    finally:
        process.redis.close()


if __name__ == "__main__":
    main()

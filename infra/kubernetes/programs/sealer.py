"""Seal every cut as soon as all shards have: ``sealer.py LOG STORE DEPLOYMENT``, the first and last in JSON.

Idempotent: a cut that is sealed is left alone, so it may be stopped and started at any moment.
"""

import json
import logging
import sys
import time
from pathlib import Path

from orchestration.days import seal_ready
from streaming.apps import chain
from streaming.engine.epochs import EpochIndex
from streaming.engine.sealing import CutStore
from streaming.log.opening import open_log

PAUSE_S = 2.0


def main(arguments: list[str]) -> None:
    """Seal until stopped."""
    log, store, apps = open_log(arguments[0]), CutStore(Path(arguments[1])), json.loads(arguments[2])["apps"]
    index, jobs = EpochIndex(log), chain.jobs(apps)
    while True:
        index.refresh()
        for cut in seal_ready(log, index, jobs, store):
            logging.info("sealed %s version %d", cut.id, cut.version)
        time.sleep(PAUSE_S)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)-5s %(message)s")
    main(sys.argv[1:])

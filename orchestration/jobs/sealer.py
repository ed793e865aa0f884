"""Seal every cut as soon as all shards have.

Idempotent: a cut that is sealed is left alone, so it may be stopped and started at any moment.
"""

import logging
import time
from collections.abc import Sequence

from orchestration.days import seal_ready
from streaming.engine.app import Job
from streaming.engine.epochs import EpochIndex
from streaming.engine.sealing import CutStore
from streaming.log import Log

PAUSE_S = 2.0


def run(log: Log, jobs: Sequence[Job], store: CutStore) -> None:
    """Seal until stopped."""
    index = EpochIndex(log)
    while True:
        index.refresh()
        for cut in seal_ready(log, index, jobs, store):
            logging.info("sealed %s version %d", cut.id, cut.version)
        time.sleep(PAUSE_S)

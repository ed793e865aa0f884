"""The small real day, published: certified by a replay in this process, its checks answered as passed."""

from datetime import UTC, datetime
from pathlib import Path

import orjson

from orchestration.pipeline import Home, publish_cut
from orchestration.progress import display
from orchestration.proof import CERTIFICATE
from orchestration.publish import Published
from streaming.apps import chain
from streaming.cuts import SealedCut
from streaming.engine.replay import certify, replay
from tests.unit.published_cuts import passing, write_results
from tests.unit.traced_day import sealed_day

AT = datetime(2020, 3, 16, 21, 0, tzinfo=UTC)


def published_day(folder: Path) -> tuple[Home, SealedCut, Published]:
    home, cut = sealed_day(folder)
    return home, cut, publish(home, cut, folder)


def publish(home: Home, cut: SealedCut, folder: Path) -> Published:
    """Certify, check and publish a sealed end of day."""
    scratch = folder / f"replayed-{cut.version}"
    (again,) = replay(home.log, chain.jobs(), [home.index[cut.manifest["epoch"]]], scratch)
    document = certify(home.store, again, cut.version).document()
    (home.store.path(cut.id, cut.version) / CERTIFICATE).write_bytes(orjson.dumps(document))
    told = {"suite": "tables", "owner": "operations control", "next_step": ""}
    write_results(cut, [{**row, **told} for row in passing()])
    with display() as show:
        return publish_cut(home, cut, show)

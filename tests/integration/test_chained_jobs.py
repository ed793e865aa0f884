"""Every application apart, topic to topic, over random cuts: the digests of the fused, embedded run."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from live_day import LiveDay, manifests
from stack_fixture import RunningStack

from orchestration import calendar
from orchestration.jobs.control import Cluster
from orchestration.jobs.deployment import Deployment
from streaming.apps import chain
from streaming.demo import DaySpec
from streaming.engine.epochs import Mark
from tests.kit.embedded_day import embedded

pytestmark = [pytest.mark.stack, pytest.mark.timeout(3600)]

APART = {
    "reference": ("reference",),
    "price_sets": ("price_sets",),
    "valuation": ("valuation",),
    "book": ("book",),
    "positions": ("positions",),
    "risk": ("exposure", "stress"),
    "charges": ("var", "margin"),
    "firm_records": ("firm_records",),
    "firm": ("firm_risk", "capital"),
}
"""Nine jobs; the two pairs read the same inputs and save a worker each."""


def random_marks(day: date, cuts: int, price_sets: int, seed: int) -> Sequence[Mark]:
    """The end of day, and before it some of the day's price sets, of which some are cuts."""
    *during, last = calendar.marks(day)
    random = np.random.default_rng(seed)
    chosen = sorted(random.choice(len(during), price_sets, replace=False).tolist())
    cut = set(random.choice(chosen, cuts - 1, replace=False).tolist())
    return [
        *(replace(during[i], cut=during[i].price_set if i in cut else "") for i in chosen),
        last,
    ]


@pytest.mark.parametrize(
    ("cuts", "price_sets", "size"),
    [
        (10, 24, (6, 600, 2_500)),
        pytest.param(100, 300, (300, 1_000_000, 1_000_000), marks=[pytest.mark.soak, pytest.mark.timeout(7200)]),
    ],
)
def test_random_cuts_through_nine_jobs_topic_to_topic_match(
    stack: RunningStack, tmp_path: Path, cuts: int, price_sets: int, size: tuple[int, int, int]
) -> None:
    spec = DaySpec(accounts=size[0], trades=size[1], prices=size[2])
    marks = random_marks(spec.date, cuts, price_sets, seed=cuts)
    deployment = Deployment(APART, dict.fromkeys(APART, 1), chain.SHARDS)
    assert len(deployment.jobs()) >= 8
    day = LiveDay.submitted(Cluster(stack.data, f"{uuid4().hex[:8]}."), deployment, spec)
    try:
        day.feed(marks)
        expected = manifests(embedded(tmp_path, spec, marks).settings.store)
        assert len(expected) == cuts
        day.caught_up()
    finally:
        day.stop()
    assert len(day.seal(tmp_path / "live")) == cuts
    assert manifests(tmp_path / "live") == expected

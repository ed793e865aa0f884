"""What the tests on the real stack share, the order they run in, and what is told of the stack when one fails.

First come those that leave every process alive, beside a job with steady input; then the size of its checkpoints; then
those that kill.
"""

from collections.abc import Iterator
from itertools import chain

import pytest
from diagnosis import diagnosis
from stack_fixture import DATA, RunningStack, stack  # noqa: F401
from tallying import Steady

MEASURED: pytest.StashKey[bool] = pytest.StashKey()
"""Whether a test of this session wants the steady job."""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "kills: processes of the shared stack; runs after all that do not")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    measuring, killing, others = [], [], []
    for item in items:
        kills, measures = item.get_closest_marker("kills"), "steady" in getattr(item, "fixturenames", ())
        (killing if kills else measuring if measures else others).append(item)
    config.stash[MEASURED] = bool(measuring)
    items[:] = chain(others, measuring, killing)


@pytest.fixture(scope="session")
def steady(stack: RunningStack) -> Iterator[Steady]:  # noqa: F811
    """A job with steady input."""
    made = Steady(stack)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(autouse=True)
def _beside_steady_input(request: pytest.FixtureRequest) -> None:
    marked = request.node.get_closest_marker
    if request.config.stash.get(MEASURED, False) and marked("stack") and not marked("kills"):
        request.getfixturevalue("steady")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    data = item.config.stash.get(DATA, None)
    if report.failed and data is not None:
        report.sections.append(("the stack", diagnosis(data)))
    return report

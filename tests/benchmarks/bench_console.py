"""From a click in the console to three workbooks, beside the same day by the command line.

Run: ``python tests/benchmarks/bench_console.py [accounts trades prices]``; without arguments it is the demo's day. A
code server, web server and daemon as ``plumbline dev`` starts them; the run is launched through GraphQL, as the page of
the job does. Everything has arrived in both, nothing was run; both publish the same bytes, which is checked first.
"""

import os
import subprocess
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from orchestration import calendar, generated  # noqa: E402
from orchestration.process import environment, module_command  # noqa: E402
from orchestration.settings import Settings  # noqa: E402
from streaming.demo import DaySpec  # noqa: E402
from tests.ui.conftest import Console, running  # noqa: E402
from tests.ui.test_console_streams import launch, stop_schedules  # noqa: E402

DAY = date(2020, 3, 16)
BOOKS = ("stress.xlsx", "margin.xlsx", "capital.xlsx")


def fed(settings: Settings, spec: DaySpec) -> None:
    """The day's home: everything has arrived, and every epoch is closed."""
    generated.prepare(settings, spec)
    generated.feed_generated(settings, spec, lambda _: None)


def books(settings: Settings) -> dict[str, bytes]:
    return {name: (settings.out / DAY.isoformat() / name).read_bytes() for name in BOOKS}


def by_console(console: Console, settings: Settings) -> tuple[float, float]:
    """Seconds from the click until the three workbooks are published, and until the run has ended."""
    begin, published = time.time(), settings.out / DAY.isoformat() / "current"
    launch(console, "day", DAY.isoformat())
    ended = time.time() - begin
    return os.lstat(published).st_mtime - begin, ended


def by_command(settings: Settings) -> float:
    """Seconds of ``plumbline run`` on a day that has arrived."""
    command = module_command("orchestration.cli", "--home", str(settings.home), "--out", str(settings.out))
    begin = time.perf_counter()
    subprocess.run([*command, "run", DAY.isoformat()], check=True, env=environment(), capture_output=True)
    return time.perf_counter() - begin


def main(accounts: int = 300, trades: int = 250_000, prices: int = 500_000) -> None:
    spec = DaySpec(DAY, accounts, trades, prices)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        command = Settings(root / "command" / "home", root / "command" / "out")
        desk = Settings(root / "home" / "days" / DAY.isoformat(), root / "out")
        for settings in (command, desk):
            fed(settings, spec)
        after_the_close = calendar.session(DAY).end_of_day + timedelta(seconds=30)
        with running(root, {}, DAY, after_the_close) as console:
            stop_schedules(console)
            published, ended = by_console(console, desk)
        seconds = by_command(command)
        assert books(command) == books(desk), "the console and the command line published different bytes"
        print(f"{accounts:,} accounts, {trades:,} trades, {prices:,} price events; cores: {os.cpu_count()}")
        print(f"console: three workbooks {published:.1f} s after the click, run ended after {ended:.1f} s")
        print(f"command line: {seconds:.1f} s; the console takes {published / seconds:.2f} times as long")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

"""A small sealed day with everything in it: two cuts, options, corrections, a firm; run through every application."""

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

from orchestration.pipeline import Home, run_jobs, seal
from orchestration.progress import Display, display
from orchestration.settings import Settings
from streaming.apps.routing import shard_of
from streaming.apps.rules import versions_in_force
from streaming.cuts import SealedCut, open_cut
from streaming.engine.epochs import EPOCHS, Epoch
from streaming.log import Record
from streaming.schema.raw import FEEDS
from tests.kit.tiny_day import cash, event, opening, quote, trade

DAY = date(2020, 3, 16)
OPEN = 1_584_365_400_000_000
"""09:30 New York."""
EOD = f"{DAY}/eod"
STEP_US = 60_000_000
HISTORY_DAYS = 40
CALL, PUT = "AAA   200619C00010000", "AAA   200619P00009000"
STOCKS = {"AAA": "10", "BBB": "20", "CCC": "30"}
Step = tuple[Sequence[tuple[str, str, bytes]], str]
"""(topic, account, payload) of one epoch, and its mark: "", "set", or the name of a cut."""


def reference() -> list[tuple[str, str, bytes]]:
    made = [("instruments", "", event(id="IDX", kind="index", currency="USD"))]
    for name in STOCKS:
        fields = {"sector": "Energy", "adv": 1_000_000, "shares_outstanding": 100_000_000, "beta": "1"}
        made.append(("instruments", "", event(id=name, kind="stock", currency="USD", issuer=name, **fields)))
    for name, right, strike in ((CALL, "call", "10"), (PUT, "put", "9")):
        option = {"kind": "option", "underlying": "AAA", "currency": "USD", "multiplier": 100, "right": right}
        option |= {"strike": strike, "expiry": "2020-06-19", "style": "american", "underlying_class": "equity"}
        made.append(("instruments", "", event(id=name, **option)))
    for name, kind, margin in (
        ("A1", "customer", "reg_t"),
        ("A2", "customer", "portfolio"),
        ("A3", "customer", "cash"),
        ("HOUSE", "house", "reg_t"),
    ):
        made.append(("accounts", "", event(id=name, client=f"C-{name}", kind=kind, margin_type=margin, currency="USD")))
    made.append(("rates", "", event(kind="zero", currency="USD", tenor_days=365, value="0.01")))
    return made


def history() -> list[tuple[str, str, bytes]]:
    """Closes before the day: each name swings its own way, so that volatilities differ."""
    names = ["IDX", *STOCKS]
    made = []
    for ago in range(HISTORY_DAYS, 0, -1):
        day = DAY - timedelta(days=ago)
        prices = [
            f"{100 * (1 + (place + 1) * 0.01 * ((ago * (place + 3)) % 5 - 2)):.6f}" for place in range(len(names))
        ]
        fields = {"instruments": names, "prices": prices, "source": "X", "business_date": day.isoformat()}
        made.append(("closes", "", event(**fields)))
    return made


def _previous() -> list[tuple[str, str, bytes]]:
    closes = {"IDX": "100", **STOCKS, CALL: "0.8", PUT: "0.5"}
    return [
        ("prices", "", event(instrument=name, last=price, kind="previous_close", sequence=1, source="X"))
        for name, price in closes.items()
    ]


def _quotes(tick: int) -> list[tuple[str, str, bytes]]:
    """One quote an instrument; they move with the tick."""
    found = []
    for place, (name, base) in enumerate({"IDX": 100.0, "AAA": 10.0, "BBB": 20.0, "CCC": 30.0}.items()):
        mid = base * (1 + 0.01 * tick * (-1) ** place)
        found.append(("prices", "", quote(name, f"{mid - 0.01:.6f}", f"{mid + 0.01:.6f}", tick + 2)))
    for name, mid in ((CALL, 0.8 - 0.05 * tick), (PUT, 0.5 + 0.02 * tick)):
        found.append(("prices", "", quote(name, f"{mid - 0.01:.6f}", f"{mid + 0.01:.6f}", tick + 2)))
    return found


def _openings() -> list[tuple[str, str, bytes]]:
    held = (
        ("A1", "AAA", 1_000, "9000"),
        ("A1", CALL, -5, "-400"),
        ("A2", "BBB", 500, "9500"),
        ("A3", "CCC", 50, "1400"),
    )
    held += (("A2", PUT, -10, "-500"), ("HOUSE", "BBB", 200, "4000"))
    made = [("custody", a, opening(f"O-{a}-{i}", a, i, n, cost)) for a, i, n, cost in held]
    for account, amount in (("A1", "-3000"), ("A2", "-4000"), ("A3", "2000"), ("HOUSE", "100000")):
        made.append(("cash", account, cash(f"K-{account}", account, amount, kind="opening")))
    lines = (("cash", "200000"), ("ownership_equity", "150000"), ("payable", "50000"))
    for line, amount in lines:
        fields = {"id": f"F-{line}", "version": 1, "action": "new", "account": "HOUSE", "line": line}
        made.append(("firm", "HOUSE", event(**fields, currency="USD", amount=amount)))
    return made


def steps() -> list[Step]:
    """The day: 09:30 to its end of day in eight epochs."""
    sold = trade("T3", "A2", "BBB", "sell", 100, "19.9")
    return [
        ([*reference(), *history(), *_previous(), *_openings()], ""),
        ([*_quotes(0), ("trades", "A1", trade("T1", "A1", "AAA", "buy", 100, "10.05"))], "set"),
        ([*_quotes(1), ("trades", "A1", trade("T2", "A1", "BBB", "sell", 40, "19.8")), ("trades", "A2", sold)], "set"),
        ([("trades", "A2", sold), ("trades", "A3", trade("T4", "A3", "CCC", "buy", 10, "29.9"))], ""),
        ([*_quotes(2), ("cash", "A1", cash("D1", "A1", "500"))], "1030"),
        ([("trades", "A1", trade("T1", "A1", "AAA", "buy", 120, "10.05", version=2, action="correct"))], "set"),
        ([*_quotes(3), ("trades", "HOUSE", trade("T5", "HOUSE", "AAA", "buy", 30, "10.1"))], "set"),
        ([*_quotes(4), ("trades", "A1", b"{broken")], "eod"),
    ]


def home_at(folder: Path) -> Home:
    return Home.open(Settings(folder / "home", folder / "out"))


def append(home: Home, more: Sequence[Step], day: date = DAY) -> None:
    """Append steps, one epoch each, behind what is there."""
    shards = home.log.topics()["trades"]
    number = home.index.refresh()
    writer, clock = home.log.writer("feed"), home.log.writer("clock")
    sharded = {topic.name: topic.sharded for topic in FEEDS}
    versions = versions_in_force(date(2026, 11, 1), "test")
    for at, (events, mark) in enumerate(more, number):
        time = OPEN + at * STEP_US + (day - DAY).days * 86_400_000_000
        writer.commit(
            [Record(t, shard_of(account, shards) if sharded[t] else 0, body, time) for t, account, body in events]
        )
        ends = {t.name: tuple(home.log.end(t.name, p) for p in range(t.partitions(shards))) for t in FEEDS}
        cut = f"{day}/{mark}" if mark not in ("", "set") else ""
        epoch = Epoch(
            at, time, day, ends, f"{day}/{93_000 + at * 100:06d}" if mark else "", cut, versions if at == 0 else {}
        )
        clock.commit([Record(EPOCHS, 0, epoch.encode(), time)])


def run(home: Home, show: Display | None = None) -> SealedCut:
    """Run the jobs over everything and seal; the newest end of day."""
    home.index.refresh()
    with display() as shown:
        run_jobs(home, show or shown)
        seal(home, show or shown)
    return open_cut(home.settings.store, home.cuts(home.index[home.index.end - 1].day)[-1].id)


def sealed_day(folder: Path) -> tuple[Home, SealedCut]:
    home = home_at(folder)
    append(home, steps())
    return home, run(home)

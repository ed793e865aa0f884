"""Every planted fault is found by the check meant for it, with the severity meant for it; a clean day has none."""

from collections.abc import Callable
from datetime import timedelta

import expectations_day as day
import pytest

from expectations import CRITICAL, INFO, WARNING, CheckResult, catalogue
from expectations.running import judge
from expectations.view import View
from streaming.schema.sealed import TABLES

Rows = day.Rows
CHAIN = {strike: day.symbol("AAA", day.EXPIRIES[1], "call", strike) for strike in day.STRIKES["AAA"]}
FIRST_TRADE = "T00010"


def put(table: str, key: dict, **values: object) -> Callable[[Rows], None]:
    """Other values in one row."""

    def change(rows: Rows) -> None:
        day.where(rows, table, **key).update(values)

    return change


def drop(table: str, **key: object) -> Callable[[Rows], None]:
    def change(rows: Rows) -> None:
        rows[table].remove(day.where(rows, table, **key))

    return change


def repeat(table: str, key: dict, **values: object) -> Callable[[Rows], None]:
    """One row again, with other values."""

    def change(rows: Rows) -> None:
        rows[table].append(day.where(rows, table, **key) | values)

    return change


def close(instrument: str, price: float, **values: object) -> Callable[[Rows], None]:
    """Another official close, and so another price."""
    return put("prices", {"instrument": instrument}, price=day.money(price), close=day.money(price), **values)


def no_close(instrument: str, status: str) -> Callable[[Rows], None]:
    return put("prices", {"instrument": instrument}, close=day.money(0), status=status)


def trade(**values: object) -> Callable[[Rows], None]:
    return put("trades", {"id": FIRST_TRADE}, **values)


def lost_feed(rows: Rows) -> None:
    rows["trades"] = [row for row in rows["trades"] if not "T00600" <= row["id"] < "T00700"]


def feed_ends_early(rows: Rows) -> None:
    """Half an hour before the close."""
    rows["trades"] = [row for row in rows["trades"] if row["id"] < "T01108"]


def old_prices(rows: Rows) -> None:
    for row in rows["prices"]:
        row["age"] += 1_000


def frozen_prices(rows: Rows) -> None:
    for row in rows["margin_path"]:
        if f"{day.DAY}/102000" <= row["price_set"] < f"{day.DAY}/103500":
            row["equity"] = day.money(1)


def in_percent(rows: Rows) -> None:
    """Rates a hundred times too high: the implied volatilities of calls and puts part."""
    for row in rows["valuation"]:
        if row["instrument"].startswith("IDX ") and "P0" in row["instrument"]:
            row["vol"] += day.money("0.2")


AAA, A1_AAA = {"instrument": "AAA"}, {"account": "A1", "instrument": "AAA"}
A1, TRADE_COUNT = {"account": "A1"}, {"topic": "trades"}

FAULTS = {
    # prices
    "stale close": (no_close("AAA", "stale"), "prices.held.fresh", CRITICAL),
    "stale close has no close": (no_close("AAA", "stale"), "prices.close.present", CRITICAL),
    "stale index": (no_close("IDX", "stale"), "prices.held.fresh", CRITICAL),
    "missing close": (no_close("AAA", "good"), "prices.close.present", CRITICAL),
    "missing close of what nobody holds": (no_close(CHAIN[100], "good"), "prices.close.present_unheld", WARNING),
    "crossed close": (no_close("BBB", "last_good"), "prices.held.two_sided", WARNING),
    "one-sided close": (no_close("BBB", "last_good"), "prices.held.two_sided_close", CRITICAL),
    "missing price": (put("prices", AAA, price=day.money(0), status="missing"), "prices.held.priced", CRITICAL),
    "absent price": (drop("prices", instrument="AAA"), "prices.held.priced", CRITICAL),
    "missing previous close": (put("prices", AAA, previous_close=day.money(0)), "prices.set.previous_close_present",
                               CRITICAL),
    "wrong close": (close("AAA", 110), "prices.close.near_last_cut", CRITICAL),
    "wrong close beside its options": (close("AAA", 110), "options.spot.agrees", CRITICAL),
    "repeated close": (close("AAA", 104), "prices.set.not_idle", WARNING),
    "shifted decimal": (close("AAA", 1), "prices.set.moved_with_market", CRITICAL),
    "close that is not the price": (put("prices", AAA, close=day.money(99)), "prices.close.is_the_price", CRITICAL),
    "negative price": (close("AAA", -1), "prices.set.not_negative", CRITICAL),
    "other price set": (put("prices", AAA, price_set="2020-03-16/160000"), "prices.held.of_this_set", CRITICAL),
    "missing rate": (drop("fx", currency="USD"), "prices.fx.present", CRITICAL),
    "jump of a rate": (put("fx", {"currency": "EUR"}, rate=day.money("1.65")), "prices.fx.plausible", CRITICAL),
    "step of a rate": (put("fx", {"currency": "EUR"}, rate=day.money("1.3")), "prices.fx.near_last_cut", WARNING),
    # options
    "parity break": (close(day.symbol("IDX", day.EXPIRIES[0], "call", 1800), 270), "options.pairs.parity", CRITICAL),
    "not monotone": (close(CHAIN[120], 40), "options.chain.monotone", CRITICAL),
    "not convex": (close(day.symbol("AAA", day.EXPIRIES[1], "put", 100), 12), "options.chain.convex", CRITICAL),
    "cheap calendar": (close(day.symbol("AAA", day.EXPIRIES[2], "call", 100), 2), "options.chain.calendar", CRITICAL),
    "below intrinsic": (close(day.symbol("IDX", day.EXPIRIES[0], "put", 2400), 0.01), "options.chain.intrinsic",
                        CRITICAL),
    "above underlying": (close(CHAIN[80], 500), "options.chain.bound", CRITICAL),
    "rates in percent": (in_percent, "options.pairs.volatility", CRITICAL),
    # trades
    "fat finger in quantity": (trade(quantity=1_000_000), "trades.day.notional", CRITICAL),
    "fat finger in volume": (trade(quantity=2_000_000), "trades.day.volume", WARNING),
    "fat finger in price": (trade(price=day.money(1015)), "trades.day.price_distance", CRITICAL),
    "price of zero": (trade(price=day.money(0)), "trades.day.price_positive", CRITICAL),
    "duplicate under a new id": (repeat("trades", {"id": FIRST_TRADE}, id="T00010-B"), "trades.day.not_repeated",
                                 WARNING),
    "id twice": (repeat("trades", {"id": FIRST_TRADE}), "trades.day.id_once", CRITICAL),
    "after the close": (trade(event_time=day.CLOSE + timedelta(minutes=12)), "trades.day.before_close", WARNING),
    "unknown counterparty": (trade(counterparty="BRK99"), "trades.day.counterparty_known", WARNING),
    "unknown venue": (trade(venue="XXXX"), "trades.day.venue_known", WARNING),
    "settled before": (trade(settle_date=day.DAY - timedelta(days=3)), "trades.day.settles_after", CRITICAL),
    "excessive fee": (trade(fee=day.money(1_000_000)), "trades.day.fee", CRITICAL),
    "unknown account": (trade(account="A9"), "trades.day.account_known", CRITICAL),
    "lost feed": (lost_feed, "trades.day.no_gap", CRITICAL),
    "feed that ends early": (feed_ends_early, "trades.day.no_gap", CRITICAL),
    "trades that lag": (feed_ends_early, "streams.lag.newest", CRITICAL),
    "prices that lag": (old_prices, "streams.lag.newest", CRITICAL),
    # streams
    "event lost": (put("counts", TRADE_COUNT, applied=day.TRADES - 1), "streams.counts.conserved", CRITICAL),
    "gap in offsets": (put("counts", TRADE_COUNT, events=day.TRADES, duplicate=0, quarantined=0),
                       "streams.counts.covered", CRITICAL),
    "parked for ever": (put("counts", TRADE_COUNT, parked=1, duplicate=0), "streams.counts.nothing_parked", WARNING),
    "quarantine surge": (put("counts", TRADE_COUNT, applied=day.TRADES - 99, quarantined=100),
                         "streams.topics.quarantine_share", CRITICAL),
    "refusals of a quiet topic": (put("counts", {"topic": "cash"}, events=100, applied=80, quarantined=20),
                                  "streams.topics.quarantine_few", WARNING),
    "refused instrument": (put("counts", {"topic": "instruments"}, applied=39, quarantined=1),
                           "streams.topics.reference_not_refused", CRITICAL),
    "topic not counted": (drop("counts", topic="custody"), "streams.topics.counted", CRITICAL),
    "frozen prices": (frozen_prices, "streams.path.moving", WARNING),
    "reject": (lambda rows: rows["rejects"].append({"account": "A1", "instrument": "AAA", "epoch": 1, "ordinal": 1,
                                                    "reason": "overflow"}), "streams.rejects.none", CRITICAL),
    # positions and cash
    "position out of nothing": (put("positions", A1_AAA, quantity=1_001), "positions.roll.from_opening", CRITICAL),
    "cost of nothing": (put("positions", {"instrument": day.EXPIRED}, cost=day.money(1)),
                        "positions.roll.cost_of_nothing", CRITICAL),
    "two prices": (put("pnl", A1_AAA, price=day.money(101)), "positions.valued.one_price", CRITICAL),
    "value off by a micro": (put("pnl", A1_AAA, market_value=day.money("100000.000001")),
                             "positions.valued.market_value", CRITICAL),
    "sum of an account": (put("exposure", A1, long_value=day.money(1)), "positions.accounts.long_value", CRITICAL),
    "unpriced position": (put("exposure", A1, unpriced=1), "positions.accounts.all_priced", CRITICAL),
    "cash imbalance": (put("cash", A1, amount=day.money(1_200_000)), "cash.accounts.converted", CRITICAL),
    "cash of margin": (put("margin", A1, cash=day.money("200000.000001")), "cash.accounts.margin", CRITICAL),
    # actions
    "split twice": (repeat("actions", {"id": "CA-1"}, id="CA-1-B"), "actions.announced.split_once", CRITICAL),
    "missing split": (drop("actions", id="CA-1"), "prices.set.moved_with_market", CRITICAL),
    "wrong split ratio": (put("actions", {"id": "CA-1"}, numerator=20), "actions.applied.split", CRITICAL),
    "odd split ratio": (put("actions", {"id": "CA-1"}, numerator=20), "actions.announced.split_ratio", WARNING),
    "dividend twice": (repeat("actions", {"id": "CA-2"}, id="CA-2-B"), "actions.announced.dividend_once", CRITICAL),
    "dividend that was expected": (drop("actions", id="CA-2"), "actions.announced.dividend_expected", CRITICAL),
    "dividend of another amount": (put("actions", {"id": "CA-2"}, amount=day.money("0.6")),
                                   "actions.announced.dividend_as_expected", WARNING),
    "dividend that never was": (drop("actions", id="CA-2"), "actions.applied.dividend_only_when_paid", CRITICAL),
    "missing expiry": (drop("actions", id="CA-3"), "actions.announced.all_expired", CRITICAL),
    "position past expiry": (put("positions", {"instrument": day.EXPIRED}, quantity=3),
                             "actions.applied.none_past_expiry", CRITICAL),
    "wrong settlement price": (put("actions", {"id": "CA-3"}, price=day.money(110)),
                               "actions.announced.settlement_price", CRITICAL),
    # reference
    "wrong multiplier": (put("instruments", {"id": CHAIN[100]}, multiplier=1_000),
                         "reference.instruments.multiplier_of_class", CRITICAL),
    "bad isin": (put("instruments", {"id": "AAA"}, isin="US0378331006"), "reference.instruments.isin", WARNING),
    "bad lei": (put("accounts", {"id": "A1"}, lei="5493001KJTIIGC8Y1R13"), "reference.accounts.lei", WARNING),
    "missing volume": (put("instruments", {"id": "AAA"}, adv=-1), "reference.instruments.volume", WARNING),
    "index without a class": (put("instruments", {"id": "IDX"}, underlying_class="none"),
                              "reference.instruments.underlying_class", CRITICAL),
    "symbol of another strike": (put("instruments", {"id": CHAIN[100]}, strike=day.money(101)),
                                 "reference.instruments.symbol", CRITICAL),
    "missing underlying": (drop("instruments", id="IDX"), "reference.instruments.underlying_known", CRITICAL),
    "two houses": (put("accounts", {"id": "A1"}, kind="house"), "reference.accounts.one_house", CRITICAL),
    # margin and stress
    "margin line missing": (put("margin_lines", A1, maintenance=day.money(29_999)), "margin.accounts.maintenance_sum",
                            CRITICAL),
    "account without margin": (drop("margin", account="A1"), "margin.accounts.present", CRITICAL),
    "requirement of another regime": (put("margin", A1, requirement=day.money(20_000)), "margin.accounts.regime",
                                      CRITICAL),
    "excess": (put("margin", A1, excess=day.money(1)), "margin.accounts.excess", CRITICAL),
    "equity of margin": (put("margin", A1, equity=day.money(1)), "margin.accounts.equity", CRITICAL),
    "group below its worst point": (put("margin_groups", A1, requirement=day.money(1)), "margin.groups.worst",
                                    CRITICAL),
    "stress sum": (put("stress", {"account": "A1", "scenario": "UP"}, loss=day.money(1)), "margin.stress.sum",
                   CRITICAL),
    "scenario missing": (drop("stress", account="A1", scenario="UP"), "margin.stress.complete", CRITICAL),
}  # fmt: skip


def judged(check: str, cut: day.MemoryCut, certificate: dict | None = None) -> dict[str, CheckResult]:
    """The results of the suite of one check."""
    suite, _ = catalogue()[check]
    return {row.check: row for row in judge(suite, View(cut, certificate, day.cut(id_=day.BEFORE)))}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found_by_its_check(name):
    change, check, severity = FAULTS[name]
    found = judged(check, day.cut(change))[check]
    assert not found.passed
    assert not found.crashed, found.observed
    assert found.severity == severity
    assert found.unexpected_count >= 1 or not found.sample
    assert found.owner
    assert found.next_step


def test_a_few_refusals_of_a_quiet_topic_are_everyday_life():
    change = put("counts", {"topic": "cash"}, events=415, applied=391, quarantined=24)
    assert judged("streams.topics.quarantine_few", day.cut(change))["streams.topics.quarantine_few"].passed


def test_a_topic_in_which_nothing_came_needs_no_counter():
    cut = day.cut()
    cut.manifest["offsets"]["policies"] = [0]
    assert judged("streams.topics.counted", cut)["streams.topics.counted"].passed
    cut.manifest["offsets"]["policies"] = [1]
    assert not judged("streams.topics.counted", cut)["streams.topics.counted"].passed


def test_a_restatement_does_not_judge_the_path_of_the_day_again():
    cut = day.cut(frozen_prices)
    assert not judged("streams.path.moving", cut)["streams.path.moving"].passed
    cut.manifest["version"] = 2
    again = judged("streams.path.moving", cut)["streams.path.moving"]
    assert (again.passed, again.severity) == (True, INFO)
    assert "first version" in again.observed


def test_the_catalogue_of_faults_is_as_long_as_promised():
    assert len({change for change, _, _ in FAULTS.values()}) >= 40


@pytest.mark.parametrize(
    ("side", "value", "check"),
    [("replayed", "another", "equal"), ("replayed", "", "complete"), ("live", "another", "sealed")],
)
def test_a_certificate_that_differs_is_critical(side, value, check):
    document = day.certificate()
    document["tables"]["margin"][side] = value
    found = judged("certificate.digests.equal", day.cut(), document)[f"certificate.digests.{check}"]
    assert (found.passed, found.severity) == (False, CRITICAL)
    assert found.sample[0]["name"] == "margin"


def test_a_certificate_of_another_cut_is_critical():
    document = day.certificate() | {"cut": day.BEFORE}
    assert not judged("certificate.digests.equal", day.cut(), document)["certificate.digests.of_this_cut"].passed


@pytest.mark.parametrize("check", ["stock_record", "cash_to_ledger", "option_clearing"])
def test_a_reconciliation_that_does_not_balance_is_critical(check):
    def reconciled(rows: Rows) -> None:
        names = [name.rpartition(".")[2] for name in catalogue() if name.startswith("capital.reconciliation.")]
        rows["checks"] = [
            {"check": name, "key": "AAA", "expected": day.money(5), "found": day.money(5), "difference": day.money(0)}
            for name in names
            if name not in ("rows", "complete")
        ]

    def broken(rows: Rows) -> None:
        reconciled(rows)
        day.where(rows, "checks", check=check).update(found=day.money(6), difference=day.money(1))

    name = f"capital.reconciliation.{check}"
    assert all(row.passed and row.rows for row in judged(name, day.cut(reconciled)).values())
    found = judged(name, day.cut(broken))
    assert [row.check for row in found.values() if not row.passed] == [name]
    assert found[name].sample[0]["difference"] == 1


def test_a_statement_without_a_line_is_critical():
    def lines(rows: Rows) -> None:
        rows["capital_lines"] = [
            {"statement": name, "line": 1, "code": "1", "label": "equity", "amount": None, "rule": "15c3-1",
             "evidence": "V", "formula": ""}
            for name in ("net_capital", "requirement_basic", "reserve_customer")
        ]  # fmt: skip

    found = judged("capital.lines.supplied", day.cut(lines))["capital.lines.supplied"]
    assert (found.passed, found.severity, found.unexpected_count) == (False, CRITICAL, 2)


def stressed(net: int, scenarios: tuple[str, ...]) -> dict[str, CheckResult]:
    """The firm's capital by scenario beside a statement of 80 million."""

    def with_capital(rows: Rows) -> None:
        rows["scenarios"] = [
            {"scenario": name, "name": name, "family": "house", "scope": "market", "source": "", "evidence": "",
             "note": "", "clipped": 0, "library": ""}
            for name in ("M-10", "M-20", "GRID/+0%/+0%")
        ]  # fmt: skip
        rows["capital_lines"] = [
            {"statement": "net_capital", "line": 1, "code": "net_capital", "label": "", "rule": "15c3-1",
             "amount": day.money(80_000_000), "evidence": "V", "formula": ""}
        ]  # fmt: skip
        blank = {
            column.name: day.money(0) if column.unit == "USD" else "" for column in TABLES["stress_capital"].columns
        }
        rows["stress_capital"] = [
            {**blank, "scenario": name, "net_capital": day.money(net), "fires": 0} for name in scenarios
        ]

    return judged("capital.scenarios.complete", day.cut(with_capital))


def test_capital_is_computed_under_every_scenario_and_before_stress_is_the_statement():
    good = stressed(80_000_000, ("M-10", "M-20", "before stress"))
    assert all(row.passed for row in good.values())
    missing = stressed(80_000_000, ("M-10", "before stress"))
    assert [row.check for row in missing.values() if not row.passed] == ["capital.scenarios.complete"]
    other = stressed(79_000_000, ("M-10", "M-20", "before stress"))
    assert [row.check for row in other.values() if not row.passed] == ["capital.scenarios.before"]


def moved(check: str, change: Callable[[Rows], None]) -> CheckResult:
    """A check against the end of day before, which was the clean day."""

    def with_headlines(rows: Rows) -> None:
        rows["headlines"] = [
            {"name": name, "value": day.money(value), "unit": "USD", "label": name}
            for name, value in (("net_capital", 80_000_000), ("excess", 900_000))
        ]
        for row in rows["margin"]:
            row["requirement"] = day.money(2_000_000)

    def today(rows: Rows) -> None:
        with_headlines(rows)
        change(rows)

    suite, _ = catalogue()[check]
    view = View(day.cut(today), opening=day.cut(with_headlines))
    return {row.check: row for row in judge(suite, view)}[check]


def test_a_key_figure_that_moves_more_than_its_day_explains_is_a_warning():
    steady = put("headlines", {"name": "net_capital"}, value=day.money(120_000_000))
    jumped = put("headlines", {"name": "net_capital"}, value=day.money(121_000_000))
    little = put("headlines", {"name": "excess"}, value=day.money(100_000))
    assert moved("capital.movement.explained", steady).passed
    assert moved("capital.movement.explained", little).passed
    found = moved("capital.movement.explained", jumped)
    assert (found.passed, found.severity, found.sample[0]["name"]) == (False, WARNING, "net_capital")


@pytest.mark.parametrize(("requirement", "passed"), [(1_100_000, True), (4_000_000, True), (4_100_000, False)])
def test_a_requirement_that_moves_without_its_positions_is_a_warning(requirement, passed):
    found = moved("margin.movement.explained", put("margin", A1, requirement=day.money(requirement)))
    assert (found.passed, found.crashed) == (passed, False)


def test_movement_is_not_judged_without_a_day_before():
    suite, _ = catalogue()["capital.movement.explained"]
    assert {row.severity for row in judge(suite, View(day.cut()))} == {"info"}

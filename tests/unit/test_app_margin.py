"""The margin application on a small day: the scan, the house layers, peaks with their causes, limits and calls."""

from datetime import date
from decimal import Decimal

import numpy as np
import pyarrow as pa

from streaming.apps import margin_day
from streaming.apps.firm_risk import FirmRiskApp
from streaming.apps.margin import MarginApp, MarginState
from streaming.apps.margin_day import DayState
from streaming.apps.margin_limits import LARGEST_SHARE, share
from streaming.apps.sequence import NEW
from streaming.apps.var import VarApp
from streaming.engine.canonical import decode, encode
from streaming.risk.margin.house import COMPONENTS
from tests.unit.app_days import CODES, HOLDINGS, MICRO, Day, stretch

STALE = 2


def trades(*rows: tuple[str, int, str, int, int]) -> pa.Table:
    """Rows of (id, account, instrument, quantity, price in dollars)."""
    ids, account, name, quantity, price = zip(*rows)
    return pa.table(
        {
            "id": list(ids),
            "action": np.full(len(ids), NEW, np.int8),
            "account": np.array(account, np.int32),
            "instrument": np.array([CODES[n] for n in name], np.int32),
            "quantity": np.array(quantity, np.int64),
            "price": np.array(price, np.int64) * MICRO,
        }
    )


def one(rows: list[dict], **wanted) -> dict:
    found = [row for row in rows if all(row[key] == value for key, value in wanted.items())]
    assert len(found) == 1, found
    return found[0]


def day_of(*apps) -> Day:
    return Day(*apps, MarginApp())


def test_house_components_sum_to_the_house_requirement_and_never_fall_below_the_rule():
    day = day_of()
    day.step("1030")
    rows = day.sealed("margin", "margin_house")
    assert [row["account"] for row in rows] == ["A-CASH", "A-PM", "A-REGT"]
    for row in rows:
        assert sum(row[name] for name in COMPONENTS) == row["house_requirement"]
        assert row["effective_requirement"] == max(row["house_requirement"], row["regulatory_requirement"])
        regulatory = one(day.sealed("margin", "margin"), account=row["account"])["requirement"]
        assert row["regulatory_requirement"] == regulatory


def test_house_lines_and_scan_lines_sum_to_what_they_explain():
    day = day_of()
    day.step("1030")
    house = one(day.sealed("margin", "margin_house"), account="A-PM")
    lines = [row for row in day.sealed("margin", "margin_house_lines") if row["account"] == "A-PM"]
    assert sum(row["amount"] for row in lines) == house["house_requirement"]
    scan = day.sealed("margin", "margin_scan_lines")
    assert {row["account"] for row in scan} == {"A-PM"}
    assert sum(row["amount"] for row in scan) == house["scan_requirement"]
    assert all(row["sentence"] and row["rule"] for row in (*lines, *scan))


def test_shocks_of_the_members_sum_to_their_group_and_its_worst_is_the_scenario_loss():
    day = day_of()
    day.step("1030")
    rows = day.sealed("margin", "margin_shocks")
    assert {row["account"] for row in rows} == {"A-PM"}
    whole = one(rows, margin_group="AAA", instrument="")
    members = [row for row in rows if row["margin_group"] == "AAA" and row["instrument"]]
    assert {row["instrument"] for row in members} == {"AAA", "AAA C100", "AAA P100"}
    points = [f"p{point}" for point in range(1, 11)]
    for point in points:
        assert sum(row[point] for row in members) == whole[point]
    group = one(day.sealed("margin", "margin_groups"), account="A-PM", margin_group="AAA")
    assert group["scenario_loss"] == max(0, -min(whole[point] for point in points))
    stock = one(members, instrument="AAA")
    assert (stock["p1"], stock["p10"]) == (Decimal(7_500), Decimal(-7_500))  # 500 shares of 100 at 15% up and down


def test_a_position_outside_the_scan_is_charged_under_the_strategy_based_rule():
    day = day_of()
    day.step("1030")
    row = one(day.sealed("margin", "margin_scan_lines"), strategy="strategy-based")
    alone = one(day.sealed("margin", "margin_lines"), account="A-PM", underlying="NOM")
    assert row["amount"] == alone["maintenance"] > 0
    assert row["legs"] == "+100 x NOM"


def test_strategy_lines_tell_legs_amount_and_paragraph():
    day = day_of()
    day.step("1030")
    row = one(day.sealed("margin", "margin_lines"), account="A-REGT", underlying="AAA")
    assert row["sentence"] == "+1000 x AAA: 25,000.00 dollars as long stock (FINRA 4210(c)(1))."


def test_var_floor_comes_with_the_end_of_day_and_stays():
    day = day_of(VarApp())
    day.step("1030")
    assert not any(row["var_floor"] for row in day.sealed("margin", "margin_house"))
    day.step("eod")
    floor = day.states["margin"].floor
    one_day = one(day.sealed("var", "var"), name="A-CASH", horizon_days=1, confidence=Decimal("0.99"))["var"]
    found = dict(zip(floor["account"].to_pylist(), floor["var"].to_pylist()))[2]
    assert abs(found - float(one_day) * 5**0.5 * MICRO) <= 1


def test_peak_deficit_names_the_price_that_made_it_and_stays_when_it_is_gone():
    day = day_of()
    day.step()
    day.step(changes={"BBB": 300})
    day.step("1030")
    row = one(day.sealed("margin", "margin"), account="A-REGT")
    # 20,000 + 100,000 - 120,000 equity against 25% of 100,000 and 30% of 120,000
    assert row["peak_deficit"] == Decimal(61_000)
    assert (row["peak_price_set"], row["peak_cause"]) == ("2026-11-20/100100", "price BBB")
    assert row["excess"] > 0


def test_peak_deficit_names_the_trade_that_made_it():
    day = day_of()
    day.step()
    held = [(0, "BBB", -10_400) if row[:2] == (0, "BBB") else row for row in HOLDINGS]
    sale = trades(("T-1", 0, "BBB", -10_000, 50))
    day.step("1030", held=held, trades=sale, money=(520_000, 10_000, 5_000))
    row = one(day.sealed("margin", "margin"), account="A-REGT")
    assert row["peak_cause"] == "trade T-1"
    assert row["peak_deficit"] == -row["excess"]


def test_a_deficit_of_the_first_quotes_is_the_opening_position_and_stale_prices_make_none():
    day = day_of()
    day.step(changes={"BBB": 300}, status=STALE)
    assert one(day.sealed("margin", "margin"), account="A-REGT")["peak_deficit"] == 0
    day.step("1030", changes={"BBB": 300})
    row = one(day.sealed("margin", "margin"), account="A-REGT")
    assert (row["peak_cause"], row["peak_price_set"]) == ("opening position", "2026-11-20/100100")


def test_calls_have_their_due_dates_on_the_exchange_calendar():
    day = day_of()
    day.step("1030", changes={"BBB": 300})
    calls = {row["kind"]: row for row in day.sealed("margin", "calls") if row["account"] == "A-REGT"}
    assert calls["maintenance"]["amount"] == Decimal(61_000)
    assert calls["house"]["due"] == date(2026, 11, 23)  # the next business day: a Monday
    assert calls["maintenance"]["due"] == date(2026, 12, 14)  # fifteen business days, Thanksgiving between
    assert calls["intraday"]["amount"] == Decimal(61_000)


def test_limits_show_red_where_equity_does_not_cover_the_requirement():
    day = Day(MarginApp(), FirmRiskApp())
    day.step("1030", changes={"BBB": 300})
    rows = day.sealed("margin", "limits")
    assert one(rows, metric="house_excess", name="A-REGT")["status"] == "RED"
    assert one(rows, metric="requirement_over_equity", name="A-REGT")["value"] == Decimal(LARGEST_SHARE) / MICRO
    assert one(rows, metric="requirement_over_equity", name="A-CASH")["status"] in ("GREEN", "AMBER", "RED")
    client = one(day.sealed("firm_risk", "limits"), metric="house_requirement", name="C-1")
    house = day.sealed("margin", "margin_house")
    assert client["value"] == sum(row["house_requirement"] for row in house if row["account"] != "A-CASH")


def test_share_of_nothing_is_the_largest_that_is_written():
    part, whole = np.array([1, 1, 0, 50]), np.array([0, 4, 0, -1])
    assert share(part, whole).tolist() == [LARGEST_SHARE, 250_000, 0, LARGEST_SHARE]


def test_trades_gathered_in_two_stretches_are_those_of_one():
    first, second = trades(("T-1", 0, "AAA", 5, 100)), trades(("T-2", 1, "BBB", -5, 50))
    apart, together = DayState(), DayState()
    for number, rows in enumerate((first, second)):
        margin_day.gather(apart, stretch(number, {"book": {"trades": rows}}))
    margin_day.gather(together, stretch(0, {"book": {"trades": pa.concat_tables([first, second])}}))
    assert encode(apart) == encode(together)
    assert apart.trades["id"].to_pylist() == ["T-1", "T-2"]


def test_state_survives_its_encoding_and_goes_on_as_if_never_stopped():
    straight, restored = day_of(), day_of()
    for day in (straight, restored):
        day.step()
        day.step("1030", changes={"BBB": 300})
    restored.states["margin"] = decode(encode(restored.states["margin"]), MarginState)
    for day in (straight, restored):
        day.step("1130", changes={"BBB": 320})
    assert encode(restored.states["margin"]) == encode(straight.states["margin"])
    assert restored.sealed("margin", "margin") == straight.sealed("margin", "margin")

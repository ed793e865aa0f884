"""The VaR application and the firm's levels, against a plain recomputation."""

from decimal import Decimal

import pytest

from streaming.apps.firm_risk import FirmRiskApp
from streaming.apps.var import VarApp, VarState
from streaming.engine.canonical import decode, encode
from tests.unit.app_days import CODES, MICRO, Day, closes


@pytest.fixture(scope="module")
def end_of_day() -> Day:
    day = Day(VarApp(), FirmRiskApp())
    day.step("eod")
    return day


def one(rows: list[dict], **wanted) -> dict:
    found = [row for row in rows if all(row[key] == value for key, value in wanted.items())]
    assert len(found) == 1, found
    return found[0]


def moves_of(name: str) -> list[int]:
    """Price factors in ppm of the newest 500 one-day moves, half up."""
    history = [row["price"] for row in closes().to_pylist() if row["instrument"] == CODES[name]]
    return [(2 * after * MICRO + before) // (2 * before) for before, after in zip(history, history[1:])][-500:]


@pytest.mark.parametrize(("confidence", "worst"), [("0.99", 5), ("0.975", 13), ("0.95", 25)])
def test_var_of_a_stock_is_the_kth_worst_move_of_its_own_history(end_of_day, confidence, worst):
    price = 50 * MICRO
    losses = sorted(200 * (price - (2 * price * factor + MICRO) // (2 * MICRO)) for factor in moves_of("BBB"))[::-1]
    row = one(end_of_day.sealed("var", "var"), name="A-CASH", confidence=Decimal(confidence), horizon_days=1)
    assert row["var"] == Decimal(losses[worst - 1]) / MICRO
    assert row["es"] >= row["var"]
    assert row["scenarios"] == 500


def test_ten_days_is_the_square_root_of_time_and_says_so(end_of_day):
    rows = [row for row in end_of_day.sealed("var", "var")
            if row["name"] == "A-REGT" and row["confidence"] == Decimal("0.99")]  # fmt: skip
    short, long = sorted(rows, key=lambda row: row["horizon_days"])
    assert float(long["var"]) == pytest.approx(float(short["var"]) * 10**0.5, abs=1e-5)
    assert "square root of time" in long["method"]


def test_components_sum_exactly_to_the_firms_var_at_every_level(end_of_day):
    firm = one(end_of_day.sealed("firm_risk", "var"), level="firm", horizon_days=1, confidence=Decimal("0.99"))
    parts = end_of_day.sealed("firm_risk", "var_components")
    for level in ("account", "client", "strategy", "sector", "underlying"):
        mine = [row for row in parts if row["level"] == level]
        assert mine
        assert sum(row["component"] for row in mine) == firm["var"]
        assert sum(row["smoothed"] for row in mine) == firm["var"]


def test_a_level_of_one_account_has_that_accounts_var(end_of_day):
    account = one(end_of_day.sealed("var", "var"), name="A-CASH", horizon_days=1, confidence=Decimal("0.99"))
    client = one(
        end_of_day.sealed("firm_risk", "var"), level="client", name="C-2", horizon_days=1, confidence=Decimal("0.99")
    )
    assert (account["var"], account["es"]) == (client["var"], client["es"])


def test_a_name_without_closes_counts_as_proxied(end_of_day):
    rows = end_of_day.sealed("firm_risk", "var")
    for name, share in (("NOM", 1), ("BBB", 0)):
        row = one(rows, level="underlying", name=name, horizon_days=1, confidence=Decimal("0.95"))
        assert row["proxied"] == share


def test_backtest_compares_each_day_with_what_was_known_before_it(end_of_day):
    rows = end_of_day.sealed("firm_risk", "var_backtest")
    assert len(rows) == 599 - 250
    assert all(row["exception"] == (-row["pnl"] > row["var"]) for row in rows)
    window = sorted(row["pnl"] for row in rows[:250])
    assert rows[250]["var"] == -window[2]  # k = ceil(250 x 1%) = 3


def test_a_cut_within_the_day_has_no_var_and_forgets_yesterdays(end_of_day):
    day = Day(VarApp(), FirmRiskApp())
    day.step("eod")
    day.step("1030")
    assert day.sealed("var", "var") == []
    assert day.sealed("firm_risk", "var_components") == []


def test_without_history_there_is_no_var():
    day = Day(VarApp(), FirmRiskApp(), history=False)
    day.step("eod")
    assert day.sealed("var", "var") == []
    assert day.sealed("firm_risk", "var_backtest") == []


def test_state_survives_its_encoding(end_of_day):
    state = end_of_day.states["var"]
    assert encode(decode(encode(state), VarState)) == encode(state)

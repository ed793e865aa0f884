"""From holdings to sensitivities, buckets, exceptions and market-risk capital."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from capital_books import day, holdings, instruments, prices

from streaming.risk import rulebook
from streaming.risk.capital import frtb_sensitivities as fs
from streaming.risk.capital.drc import DefaultRows, default_risk_charge, equity_default_rows
from streaming.risk.capital.frtb_buckets import Assignment, equity_buckets, spot_weights
from streaming.risk.capital.frtb_rates_fx import currency_delta
from streaming.risk.capital.market_risk import equity_charges, market_risk_capital
from streaming.risk.capital.rrao import EXOTIC, OTHER, residual_risk_add_on
from streaming.risk.market import PriceStatus
from streaming.risk.money import MICRO
from streaming.risk.pricing import black_scholes
from streaming.risk.pricing.contracts import Contracts
from streaming.risk.reference import Kind, Right, Style, UnderlyingClass

RULES = rulebook.load().at(date(2026, 11, 1))
BILLION = 10**9
TODAY = day("2026-11-16")

LARGE_TECH = {"id": "TECH", "sector": "Technology", "market_cap": 300 * BILLION, "isin": "US0378331005"}
INDEX = {"id": "SPX", "kind": Kind.INDEX, "underlying_class": UnderlyingClass.BROAD_INDEX_HIGH_CAP}
CALL = {"id": "TECH C", "kind": Kind.OPTION, "underlying": 0, "right": Right.CALL, "strike": 100,
        "style": Style.EUROPEAN, "expiry": TODAY + 73}  # fmt: skip


def price_set(*dollars, **keywords):
    return replace(prices(*dollars, **keywords), time=TODAY * fs.DAY_MICROSECONDS)


def no_model(count):
    return fs.Revaluation(*np.full((7, count), np.nan))


@pytest.mark.parametrize(
    ("row", "bucket", "reason"),
    [
        (LARGE_TECH, 8, Assignment.RULE),
        (LARGE_TECH | {"sector": "Utilities"}, 5, Assignment.RULE),
        (LARGE_TECH | {"sector": "industrials "}, 6, Assignment.RULE),
        (LARGE_TECH | {"sector": "Energy", "isin": "BRPETRACNPR6"}, 3, Assignment.RULE),
        (LARGE_TECH | {"market_cap": 2 * BILLION}, 8, Assignment.RULE),
        (LARGE_TECH | {"market_cap": 2 * BILLION - 1}, 10, Assignment.RULE),
        (LARGE_TECH | {"market_cap": BILLION, "isin": "INE002A01018"}, 9, Assignment.RULE),
        (LARGE_TECH | {"sector": ""}, 11, Assignment.NO_SECTOR),
        (LARGE_TECH | {"sector": "Astrology"}, 11, Assignment.NO_SECTOR),
        (LARGE_TECH | {"market_cap": -1}, 11, Assignment.NO_CAPITALISATION),
        (LARGE_TECH | {"isin": ""}, 11, Assignment.NO_ECONOMY),
        (INDEX, 12, Assignment.RULE),
        (INDEX | {"kind": Kind.ETF, "underlying_class": UnderlyingClass.BROAD_INDEX}, 13, Assignment.RULE),
        (
            INDEX | {"kind": Kind.ETF, "underlying_class": UnderlyingClass.LEVERAGED_BROAD},
            11,
            Assignment.NO_LOOK_THROUGH,
        ),
        ({"id": "T", "kind": Kind.TREASURY}, 0, Assignment.RULE),
    ],
)
def test_bucket_of_an_instrument(row, bucket, reason):
    found = equity_buckets(instruments(row), RULES)
    assert (found.bucket[0], found.reason[0]) == (bucket, reason)


def test_an_option_has_bucket_and_name_of_its_underlying():
    found = equity_buckets(instruments(LARGE_TECH, CALL), RULES)
    assert found.bucket.tolist() == [8, 8]
    assert found.name.tolist() == [0, 0]
    assert spot_weights(found, RULES).tolist() == [0.5, 0.5]


def test_the_firm_may_state_the_economy_of_a_name_itself():
    stocks = instruments(LARGE_TECH, LARGE_TECH)
    assert equity_buckets(stocks, RULES, np.array([0, -1])).bucket.tolist() == [4, 11]


def test_delta_of_stock_is_its_signed_market_value_in_the_reporting_currency():
    stocks = instruments(LARGE_TECH, LARGE_TECH | {"id": "EU", "currency": "EUR"})
    found = fs.equity_sensitivities(
        holdings((0, 0, -10), (1, 1, 4)), stocks, price_set(50, 20, EUR=1.25), no_model(2), RULES
    )
    assert found.delta.amount.tolist() == [-500 * MICRO, 100 * MICRO]
    assert len(found.vega) == len(found.curvature) == len(found.exceptions.instrument) == 0


def option_book(quantity=-7, strike=100.0, years=73 / 365):
    """A short call on a bucket 8 name, revalued with the production pricer."""
    stocks = instruments(LARGE_TECH, CALL)
    contracts = Contracts(
        *(np.array([value]) for value in (Right.CALL, Style.EUROPEAN, strike, years, 0.02, 0.01, 0))
    )  # fmt: skip
    weight = spot_weights(equity_buckets(stocks, RULES), RULES)
    values = fs.revaluation(contracts, np.array([1]), 2, np.array([95.0]), np.array([0.3]), weight[:1], RULES)
    book = fs.equity_sensitivities(holdings((0, 1, quantity)), stocks, price_set(95, 3), values, RULES)
    return book, values


def test_option_sensitivities_follow_from_full_revaluation():
    book, _ = option_book()

    def value(spot, vol=0.3):
        return float(black_scholes.value(1, spot, 100.0, 0.02, 0.01, vol, 73 / 365))

    base, delta = value(95), (value(95 * 1.01) - value(95)) / 0.01
    units = -700
    up, down = -(value(95 * 1.5) - base - 0.5 * delta), -(value(95 * 0.5) - base + 0.5 * delta)
    tolerance = {"abs": 700 * 0.5}  # half a micro a unit
    assert book.delta.amount[0] == pytest.approx(units * delta * MICRO, **tolerance)
    assert book.curvature.amount.tolist() == pytest.approx([units * up * MICRO, units * down * MICRO], **tolerance)
    assert book.vega.amount.sum() == pytest.approx(units * 0.3 * (value(95, 0.31) - base) / 0.01 * MICRO, **tolerance)
    assert book.vega.factor[np.flatnonzero(book.vega.amount)].tolist() == [0]  # 73 days: at half a year
    assert book.delta.name.tolist() == [0]
    assert up < 0 < units * up  # a long call gains from curvature, a short one loses


def test_a_forward_like_option_has_no_curvature():
    """Deep in the money with no time: value moves one to one while both shocks stay in the money."""
    book, _ = option_book(strike=1.0, years=1e-9)
    assert np.abs(book.curvature.amount).max() <= 700 * 2
    assert book.delta.amount[0] == pytest.approx(-700 * 95 * MICRO, rel=1e-9)


def test_a_missing_price_is_charged_in_full_and_listed():
    stocks = instruments(LARGE_TECH, LARGE_TECH | {"id": "LOST"})
    market = price_set(50, None)
    market.previous_close[1] = 30 * MICRO
    found = fs.equity_sensitivities(
        holdings((0, 0, 1), (0, 1, -10, -250), (3, 1, 2, 900)), stocks, market, no_model(2), RULES
    )
    assert found.exceptions.instrument.tolist() == [1]
    assert found.exceptions.reason.tolist() == ["no price"]
    assert found.exceptions.charge.tolist() == [(300 + 900) * MICRO]
    assert found.delta.amount.tolist() == [50 * MICRO]
    assert market_risk_capital(found, RULES).unpriced == 1200 * MICRO


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"multiplier": 0}, "no multiplier"), ({"currency": "XXX"}, "no conversion rate"), ({}, "no price")],
)
def test_an_option_without_multiplier_rate_or_model_value_is_charged_in_full(change, reason):
    stocks = instruments(LARGE_TECH, CALL | change)
    found = fs.equity_sensitivities(holdings((0, 1, 5, 2000)), stocks, price_set(95, 3), no_model(2), RULES)
    assert found.exceptions.reason.tolist() == [reason]
    assert found.exceptions.charge[0] >= 2000 * MICRO
    assert len(found.delta) == 0


def test_a_stale_price_is_used():
    market = price_set(50, status={0: PriceStatus.STALE})
    found = fs.equity_sensitivities(holdings((0, 0, 2)), instruments(LARGE_TECH), market, no_model(1), RULES)
    assert found.delta.amount.tolist() == [100 * MICRO]


def test_missing_reference_goes_to_bucket_11_and_is_listed_without_second_charge():
    stocks = instruments(LARGE_TECH | {"market_cap": -1})
    found = fs.equity_sensitivities(holdings((0, 0, 2)), stocks, price_set(50), no_model(1), RULES)
    assert found.delta.bucket.tolist() == [11]
    assert found.exceptions.reason.tolist() == ["no market capitalisation: bucket 11"]
    assert found.exceptions.charge.tolist() == [0]


def test_debt_and_money_market_funds_are_no_equity():
    stocks = instruments({"id": "T", "kind": Kind.TREASURY}, {"id": "M", "kind": Kind.FUND})
    found = fs.equity_sensitivities(holdings((0, 0, 2), (0, 1, 3)), stocks, price_set(None, 1), no_model(2), RULES)
    assert len(found.delta) == len(found.exceptions.instrument) == 0


def test_capital_does_not_depend_on_how_accounts_are_spread_over_shards():
    stocks = instruments(LARGE_TECH, CALL, LARGE_TECH | {"id": "B", "sector": "Energy"})
    values = option_book()[1]
    values = fs.Revaluation(*(np.append(getattr(values, name), np.nan) for name in values.__dataclass_fields__))
    rows = [(a, i, (a + 1) * (-1) ** (a + i) * 3) for a in range(6) for i in range(3)]
    market = price_set(95, 3, 40)

    def sensitivities(part):
        return fs.equity_sensitivities(holdings(*part), stocks, market, values, RULES)

    whole = market_risk_capital(sensitivities(rows), RULES)
    parts = [sensitivities([row for row in rows if row[0] % 3 == shard]) for shard in (2, 0, 1)]
    assert market_risk_capital(fs.merge(parts), RULES).total == whole.total > 0


def test_scenarios_are_summed_over_measures_before_the_largest_is_taken():
    """The charges bind in different scenarios; taking the largest of each would overstate."""
    stocks = instruments(*(LARGE_TECH | {"id": f"S{i}"} for i in range(4)))
    stock = fs.equity_sensitivities(
        holdings((0, 0, 100), (0, 1, -100), (0, 2, 100), (0, 3, -100)), stocks, price_set(*[50] * 4), no_model(4), RULES
    )
    zeros, two = np.zeros(2, dtype=np.int64), np.arange(2)
    vega = fs.FactorRows(zeros + 8, two, zeros, np.array([2000 * MICRO] * 2))
    book = replace(stock, vega=vega)
    delta_charge, vega_charge, _ = equity_charges(book, RULES)
    assert (delta_charge.binding, vega_charge.binding) == ("Low", "High")
    capital = market_risk_capital(book, RULES)
    summed = delta_charge.micros + vega_charge.micros
    assert capital.sensitivities_based.tolist() == summed.tolist()
    assert capital.total == max(summed) < delta_charge.micros.max() + vega_charge.micros.max()


def test_total_adds_default_and_residual_risk_and_every_line_is_explained():
    stocks = instruments(LARGE_TECH)
    book = fs.equity_sensitivities(holdings((0, 0, 100)), stocks, price_set(50), no_model(1), RULES)
    text = lambda *items: np.array(items, dtype=object)  # noqa: E731
    default = default_risk_charge(
        DefaultRows(text("corporates"), text("TECH"), text("A"), np.array([5000 * MICRO]), np.array([np.nan])), RULES
    )
    residual = residual_risk_add_on(text(OTHER, EXOTIC), np.array([-100 * MICRO, 10 * MICRO]), RULES)
    currency = currency_delta(["USD", "EUR"], np.array([9 * MICRO, 100 * MICRO]), RULES, "USD")
    capital = market_risk_capital(book, RULES, other_charges=[currency], default_risk=default, residual_risk=residual)
    lines = capital.explained()
    assert sum(line.value for line in lines) == capital.total
    assert capital.total == 2500 * MICRO + 10_606_602 + 150 * MICRO + 200_000
    assert capital.rwa == round(12.5 * capital.total)
    assert all(line.inputs["evidence"] in ("V", "K", "H") for line in lines)


def test_a_written_option_without_a_value_is_charged_at_least_its_strike():
    stocks = instruments(LARGE_TECH, CALL)
    found = fs.equity_sensitivities(holdings((0, 1, -2, -50)), stocks, price_set(95, None), no_model(2), RULES)
    assert found.exceptions.charge.tolist() == [2 * 100 * 100 * MICRO]


def test_exceptions_of_several_shards_are_listed_once_per_instrument():
    stocks = instruments(LARGE_TECH)
    parts = [
        fs.equity_sensitivities(holdings((a, 0, 1, 10 * (a + 1))), stocks, price_set(None), no_model(1), RULES)
        for a in (1, 0)
    ]
    merged = fs.merge(parts).exceptions
    assert (merged.instrument.tolist(), merged.charge.tolist()) == ([0], [30 * MICRO])


def test_jump_to_default_takes_stocks_at_value_and_options_at_what_they_lose():
    """A long put gains when its issuer fails, a long call loses its premium, and both net with the stock."""
    put = CALL | {"id": "TECH P", "right": Right.PUT}
    stocks = instruments(LARGE_TECH | {"issuer": "TECH INC"}, CALL, put, {"id": "T", "kind": Kind.TREASURY}, INDEX)
    columns = [(Right.CALL, Right.PUT), [Style.EUROPEAN] * 2, [100.0] * 2, [0.2] * 2, [0.02] * 2, [0.0] * 2, [0, 0]]
    contracts = Contracts(*(np.array(column) for column in columns))
    spot, vol, weight = np.array([95.0]), np.array([0.3, 0.3]), np.array([0.5])
    values = fs.revaluation(contracts, np.array([1, 2]), 5, spot, vol, weight, RULES)
    book = holdings((0, 0, 100), (0, 1, 1), (0, 2, 1), (0, 3, 7), (1, 1, -1))
    rows = equity_default_rows(book, stocks, price_set(95, None, None, 1, None), values, RULES)
    call_value, put_value = (black_scholes.value(s, 95, 100, 0.02, 0, 0.3, 0.2) for s in (1, -1))
    left_of_put = 100 * np.exp(-0.02 * 0.2)
    expected = [9500, 100 * call_value, 100 * (put_value - left_of_put), -100 * call_value]
    np.testing.assert_allclose(rows.amount / MICRO, expected, atol=1e-4)
    assert rows.obligor.tolist() == ["TECH INC"] * 4
    line = default_risk_charge(rows, RULES)[0]
    assert line.value == pytest.approx(0.15 * sum(expected) * MICRO, abs=100)

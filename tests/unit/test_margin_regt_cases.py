"""The rule calculator's kinds of Regulation T and FINRA 4210: names, fields and worked numbers (cases.md)."""

import pytest

from streaming.risk.calc import calculate, kinds


def leg(cp, strike, qty, price=None, **more):
    return {"cp": cp, "K": strike, "qty": qty, **({} if price is None else {"price": price}), **more}


def put(strike, qty, price=None, **more):
    return leg("P", strike, qty, price, **more)


def call(strike, qty, price=None, **more):
    return leg("C", strike, qty, price, **more)


CASES = [
    (
        "short_option",
        {"S": 95, "legs": [put(80, -1, 2)], "underlying_class": "equity"},
        {"requirement": 1000, "proceeds": 200, "margin_call_if_no_equity": 800},
    ),
    (
        "short_option",
        {"S": 460, "legs": [put(390, -1, 4)], "underlying_class": "leveraged_etf_1.5x_broad"},
        {"requirement": 6250, "proceeds": 400, "margin_call_if_no_equity": 5850},
    ),
    (
        "short_option",
        {"S": 815.5, "legs": [call(810, -2, 10.1)], "underlying_class": "leveraged_etf_2x", "multiplier": 10},
        {"requirement": 6726, "proceeds": 202, "margin_call_if_no_equity": 6524},
    ),
    (
        "short_straddle",
        {"S": 92.63, "legs": [call(90, -1, 7), put(90, -1, 3.7)]},
        {"call_side": 2552.6, "put_side": 1959.6, "requirement": 2922.6},
    ),
    (
        "short_strangle",
        {"S": 100, "legs": [put(95, -2, 2), call(110, -2, 1)]},
        {"call_side": 2200, "put_side": 3400, "requirement": 3600},
    ),
    (
        "vertical_credit_spread",
        {"S": 128.5, "legs": [call(120, -1, 8.4), call(125, 1, 3.8)]},
        {"spread_requirement": 500, "requirement_including_long_cost": 880, "proceeds": 840, "cash_needed": 40},
    ),
    (
        "spread_max_loss",
        {"name": "put", "same_expiry": True, "legs": [put(95, -2), put(90, 2)]},
        {"spread_requirement": 1000},
    ),
    ("spread_max_loss", {"legs": [call(100, -1), call(107.5, 1)], "multiplier": 10}, {"spread_requirement": 75}),
    (
        "long_butterfly",
        {"legs": [put(540, 1, 5.6), put(550, -2, 7.2), put(560, 1, 13)]},
        {"spread_requirement": 0, "net_debit": 420},
    ),
    (
        "short_butterfly",
        {"legs": [call(90, -1, 12), call(100, 2, 5), call(110, -1, 1)]},
        {"spread_requirement": 1000, "long_cost": 1000, "short_proceeds": 1300},
    ),
    (
        "calendar",
        {"S": 75, "legs": [call(70, 1, 8, expiry="2026-12-18"), call(70, -1, 6, expiry="2026-11-20")]},
        {"spread_requirement": 0, "is_spread": True},
    ),
    (
        "calendar_reversed",
        {"S": 75, "legs": [call(70, 1, 5, expiry="2026-11-20"), call(70, -1, 8, expiry="2026-12-18")]},
        {"short_requirement": 2300, "long_cost": 500, "is_spread": False},
    ),
    (
        "ratio_call",
        {"S": 100, "legs": [call(100, 1, 5), call(110, -2, 1.5)]},
        {"spread_requirement": 0, "uncovered_short_requirement": 1150, "total_requirement": 1150},
    ),
    (
        "spread_vs_uncovered_lesser",
        {"S": 100, "legs": [call(110, -1, 1.5), call(160, 1, 0.1)]},
        {"max_loss": 5000, "uncovered": 1150, "requirement": 1150},
    ),
    ("long_option", {"legs": [call(125, 1, 5, months_to_expiry=9)]}, {"requirement": 500, "loan_value": 0}),
    ("long_option_leaps", {"legs": [call(80, 1, 12, months_to_expiry=18)]}, {"requirement": 900, "loan_value": 300}),
    (
        "initial_margin_net_of_premium",
        {
            "name": "covered call",
            "underlying": "XYZ",
            "S": 100,
            "option_class": "equity",
            "legs": [call(105, -2, 2, expiry="near")],
            "stock": {"symbol": "XYZ", "shares": 200, "price": 100},
        },
        {"initial_net_of_premium": 9600},
    ),
    (
        "initial_margin_net_of_premium",
        {
            "name": "iron condor",
            "underlying": "SPX",
            "S": 100,
            "option_class": "broad_index",
            "stock": None,
            "legs": [
                put(90, 1, 1, expiry="a"),
                put(95, -1, 2, expiry="a"),
                call(105, -1, 2, expiry="a"),
                call(110, 1, 1, expiry="a"),
            ],
        },
        {"initial_net_of_premium": 300},
    ),
    (
        "initial_margin_net_of_premium",
        {"S": 100, "option_class": "equity", "legs": [call(100, -1, 4, expiry="near"), call(100, 1, 6, expiry="far")]},
        {"initial_net_of_premium": 2600},  # labels say which expiries are equal, not which comes first
    ),
    (
        "hedged_stock_maintenance",
        {"name": "protective put, near", "shares": 100, "S": 100, "put_strike": 95},
        {"maintenance": 1450},
    ),
    (
        "hedged_stock_maintenance",
        {"name": "protective call", "shares": -100, "S": 100, "call_strike": 105},
        {"maintenance": 1550},
    ),
    (
        "hedged_stock_maintenance",
        {"name": "conversion", "shares": 200, "S": 100, "put_strike": 100, "call_strike": 100},
        {"maintenance": 2000},
    ),
    (
        "hedged_stock_maintenance",
        {"name": "reverse conversion", "shares": 100, "S": 95, "put_strike": 100},
        {"maintenance": 1500},
    ),
    (
        "hedged_stock_maintenance",
        {"name": "collar", "shares": 100, "S": 115, "put_strike": 95, "call_strike": 105},
        {"maintenance": 2625},
    ),
    (
        "hedged_stock_maintenance",
        {"name": "covered call (in the money)", "shares": 100, "S": 110, "call_strike": 100},
        {"maintenance": 2500, "stock_value_for_equity": 10_000, "maintenance_if_rate_on_market": 2750},
    ),
    (
        "covered_put",
        {"S": 100, "shares": -100, "put_strike": 105},
        {"stock_requirement": 3000, "put_itm": 500, "maintenance": 3500},
    ),
    ("short_stock_maintenance", {"price": 4.99, "shares": 100}, {"requirement": 499}),
    (
        "leveraged_etf_maintenance",
        {"S": 40, "leverage": -3, "side": "long", "shares": 100},
        {"rate": 0.75, "requirement": 3000},
    ),
    (
        "leveraged_etf_maintenance",
        {"S": 6, "leverage": 2, "side": "short", "shares": 100},
        {"rate": 0.6, "requirement": 500},
    ),
    (
        "reg_t_initial_short_sale",
        {"shares": 100, "price": 60},
        {"reg_t_150pct": 9000, "deposit_on_top_of_proceeds": 3000},
    ),
    (
        "reg_t_initial_mixed",
        {
            "long": [{"shares": 300, "price": 100}],
            "short": [{"shares": 200, "price": 50}],
            "cash": 5000,
            "short_credit_included_in_cash": True,
        },
        {
            "lmv": 30_000,
            "smv": 10_000,
            "equity": 25_000,
            "reg_t_initial": 20_000,
            "maintenance": 10_500,
            "house_excess_reg_t": 5000,
            "maintenance_excess": 14_500,
        },
    ),
    (
        "excess_and_sma",
        {"buy_shares": 1000, "buy_price": 50, "initial_rate": 0.5, "current_price": 60},
        {
            "lmv": 60_000,
            "debit": 25_000,
            "equity": 35_000,
            "reg_t": 30_000,
            "excess": 5000,
            "sma": 5000,
            "buying_power": 10_000,
        },
    ),
    (
        "restricted_account",
        {"lmv": 40_000, "debit": 25_000},
        {"equity": 15_000, "reg_t": 20_000, "excess": -5000, "cash_to_cure": 5000, "securities_to_cure": 10_000},
    ),
    ("first_transaction_deposit", {"shares": 100, "price": 30}, {"required_deposit": 2000}),
    ("maintenance_trigger_long", {"lmv": 20_000, "debit": 9000}, {"trigger_lmv": 12_000}),
    (
        "maintenance_trigger_short",
        {"shares": 1000, "short_price": 26, "credit": 39_000},
        {"trigger_smv": 30_000, "trigger_price": 30},
    ),
    ("account_total", {"S": 100, "legs": [], "shares": -100, "underlying_class": "equity"}, {"requirement": 3000}),
    ("account_total", {"S": 100, "legs": [call(100, 1, 20, months_to_expiry=18)], "shares": 0}, {"requirement": 2000}),
]


@pytest.mark.parametrize(("kind", "inputs", "expected"), CASES)
def test_worked_cases(kind, inputs, expected):
    (answer,) = calculate([{"id": 1, "kind": kind, "inputs": inputs}])
    assert "error" not in answer, answer
    assert {name: answer["result"][name] for name in expected} == expected


def test_every_kind_of_the_section_has_a_worked_case():
    section = {kind for kind in kinds() if kinds()[kind].compute.__module__ == "streaming.risk.margin.cases"}
    assert section == {kind for kind, *_ in CASES}


def test_account_total_shows_each_strategy_with_its_legs_and_rule():
    inputs = {
        "S": 100, "shares": 250, "underlying_class": "equity",
        "legs": [call(105, -3, 2), call(110, 1, 1), put(95, -1, 2), put(90, 1, 1)],
    }  # fmt: skip
    (answer,) = calculate([{"id": "x", "kind": "account_total", "inputs": inputs}])
    result = answer["result"]
    assert result["requirement"] == 5000 + 700 + 1250
    assert [row["name"] for row in result["strategies"]] == ["covered call", "iron condor", "long stock"]
    assert sum(row["requirement"] for row in result["strategies"]) == result["requirement"]
    assert result["strategies"][0]["legs"] == [{"cp": "C", "K": 105, "qty": -2}, {"shares": 200}]
    assert all(row["rule"].startswith("FINRA 4210") for row in result["strategies"])


@pytest.mark.parametrize(
    ("kind", "inputs", "message"),
    [
        ("short_option", {"S": 95, "legs": [put(80, 1, 2)]}, "one short leg"),
        ("short_option", {"S": 95, "legs": [put(80, -1, 2)], "underlying_class": "bond"}, "leveraged_etf"),
        ("short_option", {"S": 95, "legs": [put(0, -1, 2)]}, "K above 0"),
        ("short_straddle", {"S": 95, "legs": [put(80, -1, 2), put(90, -1, 2)]}, "one short call"),
        ("spread_max_loss", {"legs": [call(100, -1)]}, "no more short calls"),
        ("calendar", {"legs": [call(100, -1, 1, expiry="soon"), call(100, 1, 2, expiry="later")]}, "ISO date"),
        ("hedged_stock_maintenance", {"name": "straddle", "shares": 1, "S": 1}, "strategy of hedged stock"),
        (
            "hedged_stock_maintenance",
            {"name": "conversion", "shares": 1, "S": 1, "put_strike": 1, "call_strike": 2},
            "one strike",
        ),
        ("maintenance_trigger_short", {"shares": 0, "credit": 1}, "at least one share"),
        ("short_stock_maintenance", {"price": 1, "shares": 1, "rule_date": "soon"}, "ISO date"),
    ],
)
def test_a_case_that_cannot_be_computed_says_what_was_expected(kind, inputs, message):
    (answer,) = calculate([{"id": 1, "kind": kind, "inputs": inputs}])
    assert message in answer["error"]

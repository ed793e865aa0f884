"""The calculator kinds of net capital and the reserve, as anyone would put them."""

import pytest

from streaming.risk.calc import Case, CaseError
from streaming.risk.capital import cases


def answer(kind, **inputs):
    return {name: value if isinstance(value, (bool, list, str, dict, type(None))) else float(value)
            for name, value in getattr(cases, kind)(Case(inputs)).items()}  # fmt: skip


@pytest.mark.parametrize(
    ("long_mv", "short_mv", "haircut"), [(100, 0, 15), (1_000, 600, 202.5), (600.1, -1_000, 202.515)]
)
def test_equity_haircut(long_mv, short_mv, haircut):
    assert answer("equity_haircut", long_mv=long_mv, short_mv=short_mv) == {"haircut": haircut}


def test_undue_concentration_by_value():
    found = answer("undue_concentration", tentative_net_capital=1_000_000, position_mv=300_000, security="equity")
    assert found == {"threshold": 100_000, "base_haircut": 45_000, "concentration": 30_000, "total": 75_000}


def test_undue_concentration_by_shares_and_price_counts_500_shares():
    found = answer("undue_concentration", tentative_net_capital=1_000_000, shares=1_000, price=400, security="equity")
    assert found == {"threshold": 200_000, "base_haircut": 60_000, "concentration": 30_000, "total": 90_000}


def test_undue_concentration_by_value_and_price_counts_500_shares_too():
    found = answer("undue_concentration", tentative_net_capital=1_000_000, position_mv=-400_000, price=400)
    assert (found["threshold"], found["concentration"]) == (200_000, 30_000)


def test_undue_concentration_of_debt_is_an_error():
    with pytest.raises(CaseError, match="expected equity, found 'debt'"):
        answer("undue_concentration", tentative_net_capital=1, position_mv=1, security="debt")


def test_undue_concentration_refuses_a_value_that_is_not_shares_times_price():
    with pytest.raises(CaseError, match="shares x price"):
        answer("undue_concentration", tentative_net_capital=1, position_mv=5, shares=1, price=1, security="equity")


def test_net_capital_alternative_lists_every_warning():
    found = answer(
        "net_capital_alternative",
        tentative_net_capital=1_600_000, haircuts=500_000, aggregate_debits=50_000_000, dollar_minimum=250_000,
    )  # fmt: skip
    assert found == {
        "net_capital": 1_100_000, "required": 1_000_000, "excess": 100_000, "pct_of_debits": 2.2,
        "early_warning": True, "early_warnings": ["debits_5pct", "minimum_120pct"],
        "early_warning_reason": "below 5% of aggregate debits", "deficiency": False,
        "headroom": found["headroom"],
    }  # fmt: skip


def test_net_capital_alternative_reasons_read_as_documented():
    small = {"haircuts": 0, "aggregate_debits": 0, "dollar_minimum": 250_000}
    found = answer("net_capital_alternative", tentative_net_capital=299_999, **small)
    assert found["early_warning_reason"] == "below 120% of required minimum"
    assert found["pct_of_debits"] is None
    assert answer("net_capital_alternative", tentative_net_capital=249_999, **small)["deficiency"] is True


@pytest.mark.parametrize(
    ("net", "owed", "expected"),
    [
        (1_000_000, 12_000_000, {"ratio": 12, "required": 800_000, "warn": False, "violation": False}),
        (1_000_000, 12_500_000, {"ratio": 12.5, "warn": True, "violation": False}),
        (1_000_000, 15_000_000, {"ratio": 15, "required": 1_000_000, "warn": True, "violation": False}),
        (1_000_000, 16_000_000, {"ratio": 16, "warn": True, "violation": True}),
        (290_000, 100, {"required": 250_000, "warn": True, "violation": False}),
        (240_000, 100, {"warn": True, "violation": True}),
        (-1, 100, {"ratio": None, "warn": True, "violation": True}),
    ],
)
def test_net_capital_aggregate_indebtedness(net, owed, expected):
    found = answer(
        "net_capital_aggregate_indebtedness", net_capital=net, aggregate_indebtedness=owed, dollar_minimum=250_000
    )
    assert expected.items() <= found.items()


@pytest.mark.parametrize(
    ("method", "debits", "required"),
    [
        ("aggregate_indebtedness", 695, 305),
        ("alternative_daily", 686, 314),
        ("alternative_weekly_or_monthly", 679, 321),
    ],
)
def test_customer_reserve(method, debits, required):
    found = answer(
        "customer_reserve", credits={"i1": 900, "i4": 100, "i7": None}, debits={"i10": 500, "i12": 200}, method=method
    )
    assert found == {
        "total_credits": 1_000, "total_debits_before_reduction": 700, "debits_after_reduction": debits,
        "required_deposit": required, "deposit_if_monthly": pytest.approx(1.05 * required),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"credits": {"i10": 1}, "debits": {}, "method": "alternative_daily"}, "credits: expected i1 to i9"),
        ({"credits": {"i1": -1}, "debits": {}, "method": "alternative_daily"}, "expected an amount >= 0, found -1"),
        ({"credits": {}, "debits": {}, "method": "basic"}, "expected aggregate_indebtedness or alternative_daily"),
    ],
)
def test_customer_reserve_refuses_what_it_does_not_know(inputs, message):
    with pytest.raises(CaseError, match=message):
        answer("customer_reserve", **inputs)

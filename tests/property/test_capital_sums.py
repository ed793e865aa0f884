"""Properties of the capital computation: shards and row order change nothing, rows add up, charges behave."""

from dataclasses import fields, replace
from datetime import date
from decimal import ROUND_HALF_UP, Decimal

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.risk.capital import clients, computation, haircuts, operations, reserve
from streaming.risk.capital.computation import Ledger
from streaming.risk.capital.inputs import BalanceSheet, Elections, Frequency, Line, Location, Method, StockRecord
from streaming.risk.capital.marking import marks
from streaming.risk.money import MICRO
from streaming.risk.reference import AccountKind, Kind, MarginType
from streaming.risk.rulebook import load
from tests.unit import capital_books as kit

RULES = load().at(date(2026, 11, 16))
N_ACCOUNTS, N_STOCKS = 6, 4
STOCKS = kit.instruments(
    {"id": "AAA"},
    {"id": "BBB", "issuer": "Bee"},
    {"id": "UST", "kind": Kind.TREASURY, "expiry": kit.day("2030-06-30")},
    {"id": "OTC", "marginable": False},
)

quantities = st.integers(-50_000, 50_000).filter(bool)
dollars = st.integers(-3_000_000, 3_000_000)
prices = st.lists(st.one_of(st.none(), st.integers(1, 900)), min_size=N_STOCKS, max_size=N_STOCKS)
positions = st.dictionaries(
    st.tuples(st.integers(0, N_ACCOUNTS - 1), st.integers(0, N_STOCKS - 1)), quantities, max_size=12
)
balances = st.dictionaries(
    st.integers(0, N_ACCOUNTS - 1), st.tuples(dollars, st.integers(0, 10**6), dollars), min_size=1
)
kinds = st.lists(st.sampled_from(list(AccountKind)), min_size=N_ACCOUNTS, max_size=N_ACCOUNTS)
regimes = st.lists(st.sampled_from(list(MarginType)), min_size=N_ACCOUNTS, max_size=N_ACCOUNTS)
LONG_SIDE = (Location.BORROWED, Location.FAIL_TO_DELIVER)
street = st.lists(
    st.tuples(
        st.integers(0, N_STOCKS - 1), st.sampled_from(list(Location)), st.integers(1, 9_000), st.integers(0, 10**6),
        st.integers(0, 60), st.sampled_from(list(AccountKind)),
    ),
    max_size=10,
)  # fmt: skip
ledgers = st.lists(st.tuples(st.sampled_from(list(Line)), st.integers(0, 10**7), st.integers(0, 60)), max_size=10)


def record_of(rows) -> StockRecord:
    return kit.record(
        *(
            (
                code,
                where,
                size if where in LONG_SIDE else -size,
                money,
                {"since": kit.MONDAY - age, "account_kind": whose},
            )
            for code, where, size, money, age, whose in rows
        )
    )


def sheet_of(rows) -> BalanceSheet:
    return kit.sheet(*((line, money, {"since": kit.MONDAY - age, "secured": 1_000}) for line, money, age in rows))


def owners_of(whose, regime):
    owners = kit.accounts(*whose, clients=("x", "x", "y", "y", "z", "z"))
    return replace(owners, margin_type=np.array(regime, dtype=np.int8))


def shard(owners, held, money, chosen):
    return kit.book(
        STOCKS,
        owners,
        kit.holdings(*((a, i, q, 7) for (a, i), q in held.items() if a in chosen)),
        kit.cash(*((a, settled, short, now) for a, (settled, short, now) in money.items() if a in chosen)),
    )


def compute(shards, price_set, ledger, elections):
    part = computation.merged_part(shards, price_set, RULES)
    return computation.compute(part, STOCKS, shards[0].accounts, ledger, kit.cut(price_set), elections, RULES)


def shown(found):
    """Everything reported, as comparable values."""
    statements = (*found.net_capital.lines, *found.net_capital.indebtedness, *found.customer.items, *found.pab.items)
    lines = [(s.code, s.explained, s.rows.key.tolist(), s.rows.amount.tolist()) for s in statements]
    return lines, found.net_capital.net, found.customer.deposit, found.pab.deposit, found.tests


@settings(max_examples=60, deadline=None)
@given(positions, balances, prices, kinds, regimes, street, ledgers, st.permutations(range(N_ACCOUNTS)), st.data())
def test_shards_and_row_order_change_nothing(held, money, price, whose, regime, rows, ledger_rows, order, data):
    owners, price_set = owners_of(whose, regime), kit.prices(*price)
    ledger = Ledger(sheet=sheet_of(ledger_rows), record=record_of(rows))
    elections = Elections(method=data.draw(st.sampled_from(list(Method))))
    whole = compute([shard(owners, held, money, range(N_ACCOUNTS))], price_set, ledger, elections)
    cut_at = data.draw(st.integers(1, N_ACCOUNTS - 1))
    parts = [shard(owners, held, money, chosen) for chosen in (order[:cut_at], order[cut_at:])]
    shuffled = Ledger(sheet=permuted(ledger.sheet, data), record=permuted(ledger.record, data))
    assert shown(compute(parts, price_set, shuffled, elections)) == shown(whole)


def permuted(table, data):
    order = np.array(data.draw(st.permutations(range(len(table.reference)))), dtype=np.int64)
    return type(table)(**{item.name: getattr(table, item.name)[order] for item in fields(table) if item.init})


@settings(max_examples=60, deadline=None)
@given(positions, balances, prices, kinds, regimes, street, ledgers)
def test_lines_are_the_sums_of_their_rows_and_never_negative(held, money, price, whose, regime, rows, ledger_rows):
    owners, price_set = owners_of(whose, regime), kit.prices(*price)
    ledger = Ledger(sheet=sheet_of(ledger_rows), record=record_of(rows))
    found = compute([shard(owners, held, money, range(N_ACCOUNTS))], price_set, ledger, Elections())
    for item in (*found.net_capital.lines, *found.customer.items, *found.pab.items):
        if item.rows.label:
            assert item.value == sum(item.rows.amount.tolist()), item.code
        assert item.value >= 0, item.code


@settings(max_examples=60, deadline=None)
@given(positions, balances, prices, kinds, regimes)
def test_merging_is_the_same_whatever_the_shards(held, money, price, whose, regime):
    owners, price_set = owners_of(whose, regime), kit.prices(*price)
    ready = marks(STOCKS, price_set)
    whole = clients.part(shard(owners, held, money, range(N_ACCOUNTS)), ready, price_set, RULES)
    each = [clients.part(shard(owners, held, money, [a]), ready, price_set, RULES) for a in range(N_ACCOUNTS)]
    merged = clients.merge(each[::-1])
    for group in ("accounts", "securities"):
        for item in fields(type(getattr(whole, group))):
            found, expected = (getattr(getattr(p, group), item.name) for p in (merged, whole))
            assert np.array_equal(found, expected), item.name


def half_up(value: Decimal) -> int:
    return int(value.quantize(Decimal(1), rounding=ROUND_HALF_UP))


@given(st.integers(0, 10**15), st.integers(0, 10**15))
def test_equity_haircut_is_symmetric_and_near_the_decimal_formula(long_mv, short_mv):
    found = haircuts.equity(long_mv, short_mv, RULES)
    assert found == haircuts.equity(short_mv, long_mv, RULES)
    greater, lesser = Decimal(max(long_mv, short_mv)), Decimal(min(long_mv, short_mv))
    exact = Decimal("0.15") * (greater + max(Decimal(0), lesser - greater / 4))
    assert abs(found - exact) <= 1


@given(st.integers(0, 10**15), st.integers(0, 10**15), st.integers(0, 10**15), st.sampled_from(list(Frequency)))
def test_alternative_deposit_is_the_decimal_formula(owed, item_10, other, how_often):
    found = reserve.deposit(owed, item_10, other, Method.ALTERNATIVE, how_often, RULES)
    rate = Decimal("0.02") if how_often == Frequency.DAILY else Decimal("0.03")
    debits = item_10 + other
    assert found.required == max(0, owed - (debits - half_up(debits * rate)))


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(1, 10**6), st.integers(0, MICRO)), min_size=1, max_size=12),
    st.lists(st.integers(0, 10**7), min_size=3, max_size=3),
)
def test_use_by_account_adds_up_and_never_exceeds_the_position(rows, wanted):
    code = np.array([r[0] for r in rows], dtype=np.int32)
    quantity = np.array([r[1] for r in rows], dtype=np.int64)
    usable = quantity * np.array([r[2] for r in rows]) // MICRO
    table = operations.AccountUse(
        np.arange(len(rows), dtype=np.int32), code, quantity, quantity - usable, usable, np.zeros_like(quantity)
    )
    found = operations.account_use([table], np.array(wanted, dtype=np.int64))
    assert (found.used >= 0).all()
    assert (found.used <= found.quantity).all()
    for security in range(3):
        mine = found.instrument == security
        assert found.used[mine].sum() == min(wanted[security], found.quantity[mine].sum())

"""Properties of capital under stress and of the operations around it, over random small books."""

from datetime import date

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.risk.capital import clients, computation, stressing
from streaming.risk.capital.computation import Ledger
from streaming.risk.capital.inputs import Elections, Line, Location, MarginDeficiencies
from streaming.risk.capital.marking import marks
from streaming.risk.money import MICRO
from streaming.risk.reference import AccountKind
from streaming.risk.rulebook import load
from tests.unit import capital_books as kit

RULES = load().at(date(2026, 11, 1))
STOCKS = kit.instruments({"id": "AAA"}, {"id": "BBB"}, {"id": "CCC"})
KINDS = (AccountKind.CUSTOMER, AccountKind.CUSTOMER, AccountKind.PAB, AccountKind.HOUSE)
OWNERS = kit.accounts(*KINDS)
PRICES = kit.prices(100, 50, 20)
SHEET = kit.sheet((Line.OWNERSHIP_EQUITY, 3_000_000), (Line.SUBORDINATED_LOAN, 0))

quantities = st.lists(st.integers(-3_000, 6_000), min_size=12, max_size=12)
balances = st.lists(st.integers(-400_000, 400_000), min_size=4, max_size=4)
moves = st.lists(st.integers(-900, 900), min_size=3, max_size=3)


def shards(held: list[int], money: list[int], count: int):
    """The book in one part, or an account in each of several."""
    rows = [(a, i, held[a * 3 + i]) for a in range(4) for i in range(3) if held[a * 3 + i]]
    cash = [(a, money[a]) for a in range(4)]
    parts = [[a for a in range(4) if a % count == part] for part in range(count)]
    return [
        kit.book(
            STOCKS,
            OWNERS,
            kit.holdings(*[r for r in rows if r[0] in mine]),
            kit.cash(*[c for c in cash if c[0] in mine]),
        )
        for mine in parts
    ]


def shocked(move: list[int]):
    """Prices after moves in thousandths."""
    return stressing.stressed_prices(PRICES, PRICES.price, PRICES.price * (1_000 + np.array(move)) // 1_000, None)


@given(quantities, balances, moves)
@settings(max_examples=40, deadline=None)
def test_shards_change_no_micro_of_stressed_capital(held, money, move):
    cut, ledger = kit.cut(PRICES), Ledger(sheet=SHEET)
    found = [
        computation.under_stress(shards(held, money, n), ledger, cut, shocked(move), None, Elections(), RULES)
        for n in (1, 2, 4)
    ]
    assert len({(c.net_capital.net, c.customer.required, c.pab.required, c.elected.required) for c in found}) == 1


@given(quantities, balances, moves)
@settings(max_examples=40, deadline=None)
def test_the_change_of_accounts_is_the_change_of_the_book(held, money, move):
    books = shards(held, money, 2)
    change = stressing.account_change(books, marks(STOCKS, PRICES), marks(STOCKS, shocked(move)))
    expected = [
        sum(held[a * 3 + i] * int(shocked(move).price[i] - PRICES.price[i]) for i in range(3))
        for a in range(len(KINDS))
    ]
    assert change.tolist() == expected


@given(quantities, balances, moves, st.lists(st.integers(-(10**6), 10**6), min_size=4, max_size=4))
@settings(max_examples=40, deadline=None)
def test_a_deficiency_is_what_excess_and_change_lack_and_never_the_firms(held, money, move, excess):
    books = shards(held, money, 1)
    part = clients.part(books[0], marks(STOCKS, PRICES), PRICES, RULES)
    excess, change = np.array(excess) * MICRO, np.array(move + [0]) * MICRO
    known = MarginDeficiencies(np.array([1]), np.array([MICRO]), np.array([kit.MONDAY - 3]))
    found = stressing.stressed_deficiencies(excess, change, part.accounts, known, kit.MONDAY)
    assert (found.amount > 0).all()
    expected = {a: -int(v) for a, v in enumerate((excess + change)[:3]) if v < 0}
    assert dict(zip(found.account.tolist(), found.amount.tolist(), strict=True)) == expected
    days = dict(zip(found.account.tolist(), found.since.tolist(), strict=True))
    assert all(day == (kit.MONDAY - 3 if account == 1 else kit.MONDAY) for account, day in days.items())


@given(quantities, balances, moves)
@settings(max_examples=40, deadline=None)
def test_the_worst_part_is_that_of_a_plain_loop(held, money, move):
    books = shards(held, money, 2)
    after = shocked(move)
    equity = np.array(
        [money[a] * MICRO + sum(held[a * 3 + i] * int(PRICES.price[i]) for i in range(3)) for a in range(4)]
    )

    def effect(i: int) -> int:
        total = 0
        for a, kind in enumerate(KINDS):
            loss = held[a * 3 + i] * int(PRICES.price[i] - after.price[i])
            short = max(-int(equity[a]), 0)
            total += loss if kind == AccountKind.HOUSE else max(loss - int(equity[a]), 0) - short
        return total

    effects = [effect(i) for i in range(3)]
    found = stressing.worst_part(books, np.arange(3), equity, marks(STOCKS, PRICES), marks(STOCKS, after), STOCKS)
    if max(effects) > 0:
        assert (found.part, found.effect) == (effects.index(max(effects)), max(effects))
    else:
        assert found.part == -1


@given(st.lists(st.tuples(st.integers(1, 500), st.integers(1, 60_000)), min_size=1, max_size=6), moves)
@settings(max_examples=40, deadline=None)
def test_marked_contracts_keep_the_margin_they_had(contracts, move):
    record = kit.record(*[(0, Location.BORROWED, q, cash) for q, cash in contracts])
    after = shocked(move)
    found = stressing.marked_contracts(record, marks(STOCKS, PRICES), marks(STOCKS, after), RULES)
    for (quantity, cash), amount in zip(contracts, found.amount.tolist(), strict=True):
        assert amount == max(0, cash * MICRO + quantity * int(after.price[0] - PRICES.price[0]))

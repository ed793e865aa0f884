"""Rule calculator kinds of Regulation T and FINRA 4210: thin adapters over the margin functions.

A case may carry ``rule_date`` (ISO); without it the newest rules apply. Results are position totals in dollars.
"""

import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal

import numpy as np

from streaming.risk.calc import Case, CaseError, kind, money
from streaming.risk.margin import (
    account,
    hedged,
    options,
    pairing,
    portfolio_cases,  # noqa: F401  # registers the portfolio-margin kinds
    spreads,
    stock,
)
from streaming.risk.margin.pairing import Legs, Rows, Stock
from streaming.risk.margin.strategies import LABELS, PARAGRAPHS, Strategy
from streaming.risk.margin.terms import Terms, terms_of
from streaming.risk.money import MICRO, fraction
from streaming.risk.reference import UnderlyingClass
from streaming.risk.rulebook import Rules, load

_LEGS = "legs [{cp, K, qty, price, expiry?, months_to_expiry?}]"
_CLASSES = {
    "equity": UnderlyingClass.EQUITY,
    "narrow_index": UnderlyingClass.NARROW_INDEX,
    "broad_index": UnderlyingClass.BROAD_INDEX,
}
_LEVERAGED = re.compile(r"leveraged_etf_(\d+(?:\.\d+)?)x(_broad)?")
_STANDARD_MULTIPLIER = 100
"""The case format's default, not a rule."""


@kind(
    "short_option",
    inputs=f"S, {_LEGS}, underlying_class, multiplier",
    result="requirement, proceeds, margin_call_if_no_equity",
)
def short_option(case: Case) -> Mapping[str, object]:
    """Uncovered short option, premium included."""
    book = _Book(case)
    book.expect(len(book.legs.right) == 1 and bool(book.legs.quantity[0] < 0), "one short leg")
    requirement, proceeds = book.uncovered(), book.proceeds()
    return {
        "requirement": money(requirement),
        "proceeds": money(proceeds),
        "margin_call_if_no_equity": money(requirement - proceeds),
    }


def _straddle(case: Case) -> Mapping[str, object]:
    """Short straddle or strangle: the greater whole requirement plus the market value of the other option."""
    book = _Book(case)
    pair = len(book.legs.right) == 2 and (book.legs.quantity < 0).all() and book.legs.right.sum() == 0
    book.expect(bool(pair and book.legs.quantity[0] == book.legs.quantity[1]), "one short call and as many short puts")
    call, put = (int(np.flatnonzero(book.legs.right == right)[0]) for right in (1, -1))
    margin, premium = book.legs.margin, book.legs.premium
    units = -int(book.legs.quantity[0])
    whole = options.straddle_margin(int(margin[call]), int(premium[call]), int(margin[put]), int(premium[put]))
    return {
        "call_side": money(units * int(margin[call] + premium[call])),
        "put_side": money(units * int(margin[put] + premium[put])),
        "requirement": money(units * whole),
    }


kind("short_straddle", inputs=f"S, {_LEGS}", result="call_side, put_side, requirement")(_straddle)
kind("short_strangle", inputs=f"S, {_LEGS}", result="call_side, put_side, requirement")(_straddle)


@kind(
    "vertical_credit_spread",
    inputs=f"S, {_LEGS}",
    result="spread_requirement, requirement_including_long_cost, proceeds, cash_needed",
)
def vertical_credit_spread(case: Case) -> Mapping[str, object]:
    """Spread requirement, with the long leg paid in full and the short proceeds applied."""
    book = _Book(case)
    spread = book.spread_loss()
    return {
        "spread_requirement": money(spread),
        "requirement_including_long_cost": money(spread + book.long_cost()),
        "proceeds": money(book.proceeds()),
        "cash_needed": money(spread + book.long_cost() - book.proceeds()),
    }


@kind(
    "spread_max_loss",
    inputs="name, legs [{cp, K, qty}] (no prices), same_expiry, multiplier",
    result="spread_requirement",
)
def spread_max_loss(case: Case) -> Mapping[str, object]:
    """Worst sum of intrinsic values over the strikes."""
    book = _Book(case)
    return {"spread_requirement": money(book.spread_loss()), "strategy": spreads.name(book.spread_legs())}


@kind("long_butterfly", inputs=_LEGS, result="spread_requirement, net_debit")
def long_butterfly(case: Case) -> Mapping[str, object]:
    """A long butterfly loses nothing beyond its net debit."""
    book = _Book(case)
    return {
        "spread_requirement": money(book.spread_loss()),
        "net_debit": money(book.long_cost() - book.proceeds()),
    }


@kind("short_butterfly", inputs=_LEGS, result="spread_requirement, long_cost, short_proceeds")
def short_butterfly(case: Case) -> Mapping[str, object]:
    """A short butterfly can lose the inner strike interval."""
    book = _Book(case)
    return {
        "spread_requirement": money(book.spread_loss()),
        "long_cost": money(book.long_cost()),
        "short_proceeds": money(book.proceeds()),
    }


@kind("calendar", inputs=f"S, {_LEGS} with expiry", result="spread_requirement, is_spread")
def calendar(case: Case) -> Mapping[str, object]:
    """Short leg before the long one: a spread; otherwise there is no spread requirement (null)."""
    book = _Book(case)
    is_spread = spreads.obstacle(book.spread_legs()) is None
    return {"spread_requirement": money(book.spread_loss()) if is_spread else None, "is_spread": is_spread}


@kind(
    "calendar_reversed",
    inputs=f"S, {_LEGS} with expiry (long leg expires first)",
    result="short_requirement, long_cost, is_spread",
)
def calendar_reversed(case: Case) -> Mapping[str, object]:
    """The long leg expires first: no spread, the long is paid in full and the short is uncovered."""
    book = _Book(case)
    return {
        "short_requirement": money(book.uncovered()),
        "long_cost": money(book.long_cost()),
        "is_spread": spreads.obstacle(book.spread_legs()) is None,
    }


@kind("ratio_call", inputs=f"S, {_LEGS}", result="spread_requirement, uncovered_short_requirement, total_requirement")
def ratio_call(case: Case) -> Mapping[str, object]:
    """More short calls than long: the part that is a spread stays one, the rest is uncovered (long cost besides)."""
    book = _Book(case)
    rows = book.paired()
    spread = uncovered = 0
    for strategy, legs, need in _row_legs(rows, rows.maintenance):
        if strategy == Strategy.SPREAD:
            spread += need - book.long_value(legs)
        elif strategy == Strategy.UNCOVERED:
            uncovered += need
    return {
        "spread_requirement": money(spread),
        "uncovered_short_requirement": money(uncovered),
        "total_requirement": money(spread + uncovered),
    }


@kind("spread_vs_uncovered_lesser", inputs=f"S, {_LEGS}", result="max_loss, uncovered, requirement")
def spread_vs_uncovered_lesser(case: Case) -> Mapping[str, object]:
    """A short leg in a spread never requires more than uncovered, premium included."""
    book = _Book(case)
    loss, uncovered = book.spread_loss(), book.uncovered()
    return {"max_loss": money(loss), "uncovered": money(uncovered), "requirement": money(min(loss, uncovered))}


def _long_option(case: Case) -> Mapping[str, object]:
    """Long options by life: paid in full, or 75% of market value beyond nine months."""
    book = _Book(case)
    book.expect(len(book.legs.right) > 0 and bool((book.legs.quantity > 0).all()), "long legs only")
    requirement = int((book.legs.quantity * book.legs.charge).sum())
    return {"requirement": money(requirement), "loan_value": money(book.long_cost() - requirement)}


kind("long_option", inputs=f"{_LEGS}", result="requirement, loan_value")(_long_option)
kind("long_option_leaps", inputs=f"{_LEGS}", result="requirement, loan_value")(_long_option)


@kind(
    "initial_margin_net_of_premium",
    inputs=f"name, underlying, S, option_class, {_LEGS} with expiry label, stock (null or {{symbol, shares, price}})",
    result="initial_net_of_premium",
)
def initial_margin_net_of_premium(case: Case) -> Mapping[str, object]:
    """Initial requirement less short proceeds, longs paid in full."""
    held = case.case("stock") if case.has("stock") else None
    shares = held.whole("shares") if held else 0
    price = held.micros("price") if held and held.has("price") else 0
    book = _Book(case, shares, class_name="option_class", labels=True, spot=case.micros("S", money(price)))
    rows = book.paired()
    return {
        "initial_net_of_premium": money(int((rows.initial - rows.premium).sum())),
        "strategies": book.strategies(rows, rows.initial),
    }


@kind(
    "hedged_stock_maintenance",
    inputs="name, shares, S, put_strike, call_strike",
    result="maintenance; covered call also stock_value_for_equity, maintenance_if_rate_on_market",
)
def hedged_stock_maintenance(case: Case) -> Mapping[str, object]:
    """Maintenance of stock hedged with options of the same size."""
    terms = _terms(case)
    text, shares, price = case.text("name").lower(), abs(case.whole("shares")), case.micros("S")
    value, rate = price * shares, terms.hedge_rate
    long_need = int(fraction(value, terms.long_rate))
    short_need = stock.short_maintenance(price, shares, terms.short_rate, terms)
    if text.startswith("protective put"):
        need = hedged.protective_put(value, case.micros("put_strike") * shares, long_need, rate)
    elif text.startswith("protective call"):
        need = hedged.protective_call(value, case.micros("call_strike") * shares, short_need, rate)
    elif text.startswith("conversion"):
        need = hedged.conversion(_one_strike(case) * shares, rate)
    elif text.startswith("reverse conversion"):
        need = hedged.reverse_conversion(value, _one_strike(case) * shares, rate)
    elif text.startswith("collar"):
        put, call = case.micros("put_strike") * shares, case.micros("call_strike") * shares
        need = hedged.collar(value, put, call, terms.long_rate, rate)
    elif text.startswith("covered call"):
        call = case.micros("call_strike") * shares
        return {
            "maintenance": money(hedged.covered_call(value, call, terms.long_rate)),
            "stock_value_for_equity": money(hedged.capped_value(value, call)),
            "maintenance_if_rate_on_market": money(long_need),
        }
    else:
        raise case.refuse("name", "a name that starts with a strategy of hedged stock")
    return {"maintenance": money(need)}


@kind("covered_put", inputs="S, shares, put_strike", result="stock_requirement, put_itm, maintenance")
def covered_put(case: Case) -> Mapping[str, object]:
    """Short stock, short put: the stock's requirement plus the put's in-the-money amount."""
    terms = _terms(case)
    price, shares = case.micros("S"), abs(case.whole("shares"))
    plain = stock.short_maintenance(price, shares, terms.short_rate, terms)
    need = hedged.covered_put(price * shares, case.micros("put_strike") * shares, plain)
    return {"stock_requirement": money(plain), "put_itm": money(need - plain), "maintenance": money(need)}


@kind("short_stock_maintenance", inputs="price, shares", result="requirement")
def short_stock_maintenance(case: Case) -> Mapping[str, object]:
    """Short stock at every price tier."""
    terms = _terms(case)
    need = stock.short_maintenance(case.micros("price"), abs(case.whole("shares")), terms.short_rate, terms)
    return {"requirement": money(need)}


@kind(
    "leveraged_etf_maintenance", inputs="S, leverage, side (long/short), shares (unsigned)", result="rate, requirement"
)
def leveraged_etf_maintenance(case: Case) -> Mapping[str, object]:
    """Leveraged fund: the side is the holder's, the factor is absolute."""
    terms = _terms(case)
    price, shares = case.micros("S"), abs(case.whole("shares"))
    long = case.text("side", among=("long", "short")) == "long"
    factor = stock.leverage_factor(np.array(UnderlyingClass.LEVERAGED), np.array(case.micros("leverage")))
    rate = int(stock.leveraged_rate(terms.long_rate if long else terms.short_rate, factor, terms.leverage_cap))
    need = int(fraction(price * shares, rate)) if long else stock.short_maintenance(price, shares, rate, terms)
    return {"rate": money(rate), "requirement": money(need)}


@kind("reg_t_initial_short_sale", inputs="shares, price", result="reg_t_150pct, deposit_on_top_of_proceeds")
def reg_t_initial_short_sale(case: Case) -> Mapping[str, object]:
    """Regulation T's 150%, of which the proceeds are 100%."""
    value = abs(case.whole("shares")) * case.micros("price")
    deposit = int(fraction(value, _terms(case).initial_short))
    return {"reg_t_150pct": money(value + deposit), "deposit_on_top_of_proceeds": money(deposit)}


@kind(
    "reg_t_initial_mixed",
    inputs="long and short lists of {shares, price}, cash, short_credit_included_in_cash",
    result="lmv, smv, equity, reg_t_initial, maintenance, house_excess_reg_t, maintenance_excess",
)
def reg_t_initial_mixed(case: Case) -> Mapping[str, object]:
    """Long and short stock in one account; without the short credit in ``cash`` it is added at the prices given."""
    terms = _terms(case)
    longs = [(abs(item.whole("shares")), item.micros("price")) for item in case.cases("long", [])]
    shorts = [(abs(item.whole("shares")), item.micros("price")) for item in case.cases("short", [])]
    lmv, smv = (sum(shares * price for shares, price in side) for side in (longs, shorts))
    credit = 0 if case.flag("short_credit_included_in_cash", True) else smv
    equity = case.micros("cash", 0) + credit + lmv - smv
    initial = int(fraction(lmv, terms.initial_long)) + int(fraction(smv, terms.initial_short))
    need = int(fraction(lmv, terms.long_rate))
    need += sum(stock.short_maintenance(price, shares, terms.short_rate, terms) for shares, price in shorts)
    return {
        "lmv": money(lmv),
        "smv": money(smv),
        "equity": money(equity),
        "reg_t_initial": money(initial),
        "maintenance": money(need),
        "house_excess_reg_t": money(equity - initial),
        "maintenance_excess": money(equity - need),
    }


@kind(
    "excess_and_sma",
    inputs="buy_shares, buy_price, initial_rate (also the deposit fraction), current_price",
    result="lmv, debit, equity, reg_t, excess, sma, buying_power",
)
def excess_and_sma(case: Case) -> Mapping[str, object]:
    """A purchase on initial margin, looked at at a later price."""
    shares, rate = case.whole("buy_shares"), case.micros("initial_rate")
    cost, lmv = shares * case.micros("buy_price"), shares * case.micros("current_price")
    debit = cost - int(fraction(cost, rate))
    equity, reg_t = lmv - debit, int(fraction(lmv, rate))
    zero = np.array(0)
    sma = int(account.sma(zero, zero, np.array(equity - reg_t)))
    return {
        "lmv": money(lmv),
        "debit": money(debit),
        "equity": money(equity),
        "reg_t": money(reg_t),
        "excess": money(equity - reg_t),
        "sma": money(sma),
        "buying_power": money(int(account.buying_power(np.array(sma), rate))),
    }


@kind("restricted_account", inputs="lmv, debit", result="equity, reg_t, excess, cash_to_cure, securities_to_cure")
def restricted_account(case: Case) -> Mapping[str, object]:
    """An account below Regulation T's requirement, and what would lift it there."""
    rate = _terms(case).initial_long
    lmv = case.micros("lmv")
    equity, reg_t = lmv - case.micros("debit"), int(fraction(lmv, rate))
    shortfall = max(0, reg_t - equity)
    return {
        "equity": money(equity),
        "reg_t": money(reg_t),
        "excess": money(equity - reg_t),
        "cash_to_cure": money(account.cash_to_cure(shortfall)),
        "securities_to_cure": money(account.securities_to_cure(shortfall, rate)),
    }


@kind("first_transaction_deposit", inputs="shares, price", result="required_deposit")
def first_transaction_deposit(case: Case) -> Mapping[str, object]:
    """Half the cost, at least 2,000 dollars, never more than the cost."""
    cost = abs(case.whole("shares")) * case.micros("price")
    return {"required_deposit": money(stock.first_transaction_deposit(cost, _rules(case)))}


@kind("maintenance_trigger_long", inputs="lmv, debit", result="trigger_lmv")
def maintenance_trigger_long(case: Case) -> Mapping[str, object]:
    """Market value below which one long position is called."""
    return {"trigger_lmv": money(account.trigger_long(case.micros("debit"), _rules(case)))}


@kind(
    "maintenance_trigger_short",
    inputs="shares (unsigned), short_price, credit (total)",
    result="trigger_smv, trigger_price",
)
def maintenance_trigger_short(case: Case) -> Mapping[str, object]:
    """Price above which one short position is called."""
    shares = abs(case.whole("shares"))
    if not shares:
        raise case.refuse("shares", "at least one share")
    value, price = account.trigger_short(shares, case.micros("credit"), _rules(case))
    return {"trigger_smv": money(value), "trigger_price": money(price)}


@kind(
    "account_total",
    inputs=f"S, {_LEGS}, shares, underlying_class",
    result="requirement, strategies [{name, legs, requirement, rule}]",
)
def account_total(case: Case) -> Mapping[str, object]:
    """The optimal pairing of one underlying: maintenance, short premium included, long options at full value."""
    book = _Book(case, case.whole("shares", 0), full_value=True)
    rows = book.paired()
    return {"requirement": money(int(rows.maintenance.sum())), "strategies": book.strategies(rows, rows.maintenance)}


class _Book:
    """One case's legs and stock as the book that the pairing takes."""

    def __init__(
        self, case: Case, shares: int = 0, *, class_name: str = "underlying_class", labels: bool = False,
        full_value: bool = False, spot: int | None = None,
    ):  # fmt: skip
        self.case, self.terms = case, _terms(case)
        self.leg_cases = case.cases("legs", [])
        self.multiplier = case.whole("multiplier", _STANDARD_MULTIPLIER)
        self.expect(self.multiplier > 0, "a positive multiplier")
        group, leverage = _underlying_class(case, class_name)
        spot = case.micros("S", 0) if spot is None else spot
        self.legs = self._legs(spot, group, leverage, labels, full_value)
        factor = stock.leverage_factor(np.array(group), np.array(leverage))
        long_rate = int(stock.leveraged_rate(self.terms.long_rate, factor, self.terms.leverage_cap))
        self.stock = Stock(
            price=spot,
            long=max(shares, 0),
            short=max(-shares, 0),
            long_rate=long_rate,
            short_rate=int(stock.leveraged_rate(self.terms.short_rate, factor, self.terms.leverage_cap)),
            initial_long=max(self.terms.initial_long, long_rate),
            initial_short=self.terms.initial_short,
            sale_price=0,
            alone_long=int(Strategy.LONG_STOCK),
            alone_short=int(Strategy.SHORT_STOCK),
            allowed=pairing.COVER | pairing.HEDGE | pairing.STRADDLES | pairing.SPREADS,
        )

    def _legs(self, spot: int, group: UnderlyingClass, leverage: int, labels: bool, full_value: bool) -> Legs:
        items = self.leg_cases
        right = np.array([1 if item.text("cp", among=("C", "P")) == "C" else -1 for item in items], dtype=np.int64)
        strike = np.array([item.micros("K") for item in items], dtype=np.int64)
        quantity = np.array([item.whole("qty") for item in items], dtype=np.int64)
        premium = np.array([item.micros("price", 0) for item in items], dtype=np.int64) * self.multiplier
        valid = (strike > 0).all() and (quantity != 0).all() and (premium >= 0).all()
        self.expect(bool(valid), "K above 0, qty not 0, price at least 0")
        rate, least = options.uncovered_rates(np.array(group), np.array(leverage), np.array(True), self.terms)
        n = len(items)
        margin = options.uncovered_margins(
            right, np.full(n, spot * self.multiplier), strike * self.multiplier, np.full(n, rate), np.full(n, least)
        )
        limit = int(_rules(self.case).value("regt.option.long_life_months"))
        months = [item.decimal("months_to_expiry", 0) for item in items]
        long_term = np.array([life > limit and not full_value for life in months], dtype=bool)
        charge = fraction(premium, np.where(long_term, self.terms.long_term_rate, self.terms.long_option_rate))
        expiry, family = self._expiries(labels)
        long_label = np.where(long_term, int(Strategy.LONG_TERM_OPTION), int(Strategy.LONG_OPTION))
        label = np.where(quantity < 0, int(Strategy.UNCOVERED), long_label)
        return Legs(
            right, strike, expiry, family, np.full(n, self.multiplier, dtype=np.int64), quantity, premium, margin,
            charge.astype(np.int64), label, np.ones(n, dtype=bool), np.zeros(n, dtype=bool), np.zeros(n, dtype=bool),
        )  # fmt: skip

    def _expiries(self, labels: bool) -> tuple[np.ndarray, np.ndarray]:
        """(ordered expiry key, family): dates are ordered; labels that are no dates are each a family of its own."""
        texts = [str(item.raw("expiry")) if item.has("expiry") else "" for item in self.leg_cases]
        days = [_day(text) for text in texts]
        if all(day is not None for day in days):
            return np.array(days, dtype=np.int64), np.zeros(len(texts), dtype=np.int64)
        if not any(texts):  # no expiry given: all the same, unless the lives differ
            months = [item.decimal("months_to_expiry", 0) for item in self.leg_cases]
            return np.array([int(m * MICRO) for m in months], dtype=np.int64), np.zeros(len(texts), dtype=np.int64)
        self.expect(labels and all(texts), "expiry as an ISO date on every leg, or on none")
        number = np.array([sorted(set(texts)).index(text) for text in texts], dtype=np.int64)
        return number, number.copy()

    def expect(self, condition: bool, expected: str) -> None:
        if not condition:
            raise self.case.refuse("legs", expected)

    def long_cost(self) -> int:
        return int((np.maximum(self.legs.quantity, 0) * self.legs.premium).sum())

    def proceeds(self) -> int:
        return int((np.maximum(-self.legs.quantity, 0) * self.legs.premium).sum())

    def uncovered(self) -> int:
        """Sum of the short legs' uncovered requirements, premium included."""
        return int((np.maximum(-self.legs.quantity, 0) * (self.legs.premium + self.legs.margin)).sum())

    def spread_legs(self) -> list[spreads.SpreadLeg]:
        return spreads.spread_legs(self.legs, np.arange(len(self.legs.right)), self.legs.quantity)

    def spread_loss(self) -> int:
        legs = self.spread_legs()
        self.expect(bool(legs) and not spreads.falls_without_limit(legs), "no more short calls than long ones")
        return spreads.loss(legs, self.multiplier)

    def paired(self) -> Rows:
        return pairing.pair(self.legs, self.stock, self.terms)

    def long_value(self, legs: list[tuple[int, int]]) -> int:
        """Market value of the long options among (leg, signed quantity)."""
        return sum(quantity * int(self.legs.premium[i]) for i, quantity in legs if i >= 0 and quantity > 0)

    def strategies(self, rows: Rows, amount: np.ndarray) -> list[dict[str, object]]:
        """The chosen treatments as plain values: name, legs, requirement, rule; a spread set as its named spreads."""
        shown = []
        for strategy, legs, need in _row_legs(rows, amount):
            if strategy != Strategy.SPREAD:
                shown.append(self._strategy(LABELS[strategy], strategy, legs, need))
                continue
            members, quantities = (np.array(column) for column in zip(*legs, strict=True))
            for part in spreads.split(spreads.spread_legs(self.legs, members, quantities), self.multiplier):
                legs = [(leg.position, leg.quantity) for leg in part]
                need = spreads.loss(part, self.multiplier) + self.long_value(legs)
                shown.append(self._strategy(spreads.name(part), strategy, legs, need))
        return shown

    def _strategy(self, name: str, strategy: Strategy, legs: list[tuple[int, int]], need: int) -> dict[str, object]:
        return {
            "name": name,
            "legs": [self._shown(i, quantity) for i, quantity in legs],
            "requirement": money(need),
            "rule": PARAGRAPHS[strategy],
        }

    def _shown(self, i: int, quantity: int) -> dict[str, object]:
        if i < 0:
            return {"shares": quantity}
        item = self.leg_cases[i]
        shown = {"cp": item.text("cp"), "K": item.decimal("K"), "qty": quantity}
        return {**shown, "expiry": item.raw("expiry")} if item.has("expiry") else shown


def _row_legs(rows: Rows, amount: np.ndarray) -> list[tuple[Strategy, list[tuple[int, int]], int]]:
    """(strategy, [(leg, signed quantity)], amount) of each row."""
    bounds = zip(rows.leg_start[:-1], rows.leg_start[1:], strict=True)
    legs = [list(zip(rows.leg[a:b].tolist(), rows.leg_quantity[a:b].tolist(), strict=True)) for a, b in bounds]
    return [(Strategy(int(rows.strategy[r])), legs[r], int(amount[r])) for r in range(len(legs))]


def _underlying_class(case: Case, field: str) -> tuple[UnderlyingClass, int]:
    """(class, leverage factor in ppm) of a class name of the case format; equity when absent."""
    text = case.text(field, "equity")
    if text in _CLASSES:
        return _CLASSES[text], MICRO
    found = _LEVERAGED.fullmatch(text)
    if not found:
        raise case.refuse(field, "equity, narrow_index, broad_index, leveraged_etf_<L>x or leveraged_etf_<L>x_broad")
    group = UnderlyingClass.LEVERAGED_BROAD if found[2] else UnderlyingClass.LEVERAGED
    return group, int(Decimal(found[1]) * MICRO)


def _one_strike(case: Case) -> int:
    """The common strike of a conversion, given on either option."""
    names = [name for name in ("put_strike", "call_strike") if case.has(name)]
    strikes = {case.micros(name) for name in names}
    if len(strikes) != 1:
        raise case.refuse("put_strike", "one strike for the put and the call")
    return strikes.pop()


def _day(text: str) -> int | None:
    """Days of an ISO date; None when the text is no date."""
    try:
        return date.fromisoformat(text).toordinal()
    except ValueError:
        return None


def _rules(case: Case) -> Rules:
    if not case.has("rule_date"):
        return load().at(date.max)
    day = _day(case.text("rule_date"))
    if day is None:
        raise CaseError(f"rule_date: expected an ISO date, found {case.raw('rule_date')!r}")
    return load().at(date.fromordinal(day))


def _terms(case: Case) -> Terms:
    return terms_of(_rules(case))

"""Every dollar of a Regulation T requirement, told so that a client can follow it.

requirement -> rule -> legs -> inputs -> formula -> result, as :class:`Explained` values, a table and a sentence. The
rows of an account sum exactly to its ``maintenance``; a joined spread set is told as the named spreads it is made of.
Prices and formulas are in the instrument's currency, amounts in the reporting currency.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import pyarrow as pa

from streaming.risk.explained import Explained, Leg
from streaming.risk.margin import spreads
from streaming.risk.margin.positions import Positions, Reason
from streaming.risk.margin.regt import MarginResult
from streaming.risk.margin.spreads import SpreadLeg
from streaming.risk.margin.strategies import LABELS, PARAGRAPHS, Strategy
from streaming.risk.margin.terms import Terms, terms_of
from streaming.risk.money import cents, decimal
from streaming.risk.reference import Accounts, Instruments, Kind
from streaming.risk.rulebook import Rules

TABLE = pa.schema(
    [
        ("account", pa.string()),
        ("underlying", pa.string()),
        ("strategy", pa.string()),
        ("rule", pa.string()),
        ("legs", pa.string()),
        ("inputs", pa.string()),
        ("formula", pa.string()),
        pa.field("maintenance", pa.int64(), metadata={"unit": "micros of the reporting currency"}),
        pa.field("initial", pa.int64(), metadata={"unit": "micros of the reporting currency"}),
        pa.field("premium", pa.int64(), metadata={"unit": "micros of the reporting currency"}),
        ("sentence", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class Explanation:
    """One row: who, on what, why, how it is computed; amounts in micros of the reporting currency."""

    account: str
    underlying: str
    requirement: Explained
    """``value`` is the maintenance requirement, premium included."""
    formula: str
    initial: int
    premium: int

    @property
    def sentence(self) -> str:
        """The row in words."""
        legs = ", ".join(_words(leg) for leg in self.requirement.legs)
        return (
            f"{self.requirement.strategy.capitalize()} on {self.underlying}: {legs}. "
            f"{self.requirement.rule} requires {self.formula} = {_amount(self.requirement.value)}."
        )


def explanations(
    result: MarginResult, instruments: Instruments, accounts: Accounts, rules: Rules, account: int | None = None
) -> Iterator[Explanation]:
    """The rows of ``result``, or of one account code, in its order. ``rules`` are those of the result."""
    terms, rows = terms_of(rules), result.treatments
    chosen = range(len(rows)) if account is None else np.flatnonzero(rows.account == account).tolist()
    for r in chosen:
        legs = slice(int(rows.leg_start[r]), int(rows.leg_start[r + 1]))
        at, quantity = rows.leg_position[legs].tolist(), rows.leg_quantity[legs].tolist()
        amounts = [int(column[r]) for column in (rows.maintenance, rows.initial, rows.premium)]
        strategy = Strategy(int(rows.strategy[r]))
        names = str(accounts.id[rows.account[r]]), str(instruments.id[rows.underlying[r]])
        if strategy == Strategy.SPREAD:
            yield from _spread_rows(result.positions, instruments, names, at, quantity, amounts)
            continue
        inputs, formula = _told(strategy, _Legs(result.positions, instruments, at, quantity), terms)
        legs_told = _legs(instruments, result.positions, at, quantity)
        requirement = Explained(amounts[0], PARAGRAPHS[strategy], LABELS[strategy], legs_told, inputs)
        yield Explanation(*names, requirement, formula, amounts[1], amounts[2])


def explanation_table(
    result: MarginResult, instruments: Instruments, accounts: Accounts, rules: Rules, account: int | None = None
) -> pa.Table:
    """:func:`explanations` as a table of :data:`TABLE`."""
    rows = [
        {
            "account": row.account,
            "underlying": row.underlying,
            "strategy": row.requirement.strategy,
            "rule": row.requirement.rule,
            "legs": ", ".join(_words(leg) for leg in row.requirement.legs),
            "inputs": "; ".join(f"{name} = {value}" for name, value in row.requirement.inputs.items()),
            "formula": row.formula,
            "maintenance": row.requirement.value,
            "initial": row.initial,
            "premium": row.premium,
            "sentence": row.sentence,
        }
        for row in explanations(result, instruments, accounts, rules, account)
    ]
    return pa.Table.from_pylist(rows, schema=TABLE)


def _spread_rows(
    positions: Positions, instruments: Instruments, names: tuple[str, str], at: list[int], quantity: list[int],
    amounts: Sequence[int],
) -> Iterator[Explanation]:  # fmt: skip
    """A spread set as named spreads; the last takes what currency rounding leaves, so the parts sum to the set."""
    multiplier = int(positions.multiplier[at[0]])
    members = [
        SpreadLeg(
            int(instruments.right[positions.instrument[p]]), int(instruments.strike[positions.instrument[p]]),
            int(positions.expiry_key[p]), q, int(instruments.style[positions.instrument[p]]), p,
        )
        for p, q in zip(at, quantity, strict=True)
    ]  # fmt: skip
    parts = spreads.split(members, multiplier)
    natives = [_spread_amounts(positions, part, multiplier) for part in parts]
    whole = [max(sum(column), 1) for column in zip(*natives, strict=True)]
    shares = [
        [amount * of // total for amount, total, of in zip(native, whole, amounts[::2], strict=True)]
        for native in natives
    ]
    shares[-1] = [total - sum(row[i] for row in shares[:-1]) for i, total in enumerate(amounts[::2])]
    for part, (need, premium) in zip(parts, shares, strict=True):
        loss, paid = spreads.loss(part, multiplier), _long_value(positions, part)
        strikes = ", ".join(str(_price(leg.strike)) for leg in sorted(part))
        explained = Explained(
            need, PARAGRAPHS[Strategy.SPREAD], spreads.name(part),
            _legs(instruments, positions, [leg.position for leg in part], [leg.quantity for leg in part]),
            {"strikes": strikes, "maximum loss": str(cents(loss)), "long value": str(cents(paid))},
        )  # fmt: skip
        formula = f"the maximum loss over the strikes {_amount(loss)} + the long options in full {_amount(paid)}"
        yield Explanation(*names, explained, formula, need, premium)


def _spread_amounts(positions: Positions, part: list[SpreadLeg], multiplier: int) -> tuple[int, int]:
    """(requirement with long options in full, market value of the short options), native micros."""
    premium = sum(-leg.quantity * int(positions.mark[leg.position]) * multiplier for leg in part if leg.quantity < 0)
    return spreads.loss(part, multiplier) + _long_value(positions, part), premium


def _long_value(positions: Positions, part: list[SpreadLeg]) -> int:
    return sum(
        leg.quantity * int(positions.mark[leg.position] * positions.multiplier[leg.position])
        for leg in part
        if leg.quantity > 0
    )


class _Legs:
    """The legs of one treatment, by role, for the formula texts."""

    def __init__(self, positions: Positions, instruments: Instruments, at: list[int], quantity: list[int]):
        code = [int(positions.instrument[p]) for p in at]
        options = [k for k in range(len(at)) if instruments.kind[code[k]] == Kind.OPTION]
        stock = [k for k in range(len(at)) if k not in options]
        self.quantity = abs(quantity[0])
        self.shares = abs(quantity[stock[0]]) if stock else self.quantity * int(positions.multiplier[at[0]])
        self.mark = int(positions.mark[at[stock[0]]]) if stock else int(positions.mark[at[0]])
        self.spot = self.mark if stock else int(positions.spot[at[0]])
        self.strike = [int(instruments.strike[code[k]]) for k in options]
        self.right = [int(instruments.right[code[k]]) for k in options]
        self.premium = [int(positions.mark[at[k]]) for k in options]
        self.margin = [int(positions.margin[at[k]]) for k in options]
        self.multiplier = int(positions.multiplier[at[0]])
        self.reason = Reason(int(np.bitwise_or.reduce(positions.reason[at])))


def _told(strategy: Strategy, legs: _Legs, terms: Terms) -> tuple[dict[str, str | int], str]:
    """(inputs, formula) of a treatment other than a spread."""
    inputs: dict[str, str | int] = {"price": str(_price(legs.spot)), "units": legs.shares}
    for name, values in (("strike", legs.strike), ("premium", legs.premium)):
        if values:
            inputs[name] = ", ".join(str(_price(value)) for value in values)
    if legs.reason:
        inputs["listed because"] = str(legs.reason.name).replace("|", ", ").replace("_", " ").lower()
    return inputs, _FORMULAS[strategy](legs, terms)


def _percent(rate: int) -> str:
    return f"{(decimal(rate) * 100).normalize():f}%"


def _value(legs: _Legs) -> str:
    return f"{legs.shares} x {_price(legs.spot)}"


def _uncovered(legs: _Legs, terms: Terms) -> str:
    side = "call" if legs.right[0] > 0 else "put"
    base = "underlying" if legs.right[0] > 0 else "strike"
    return (
        f"{legs.quantity} contracts x (the {side}'s value {_amount(legs.premium[0] * legs.multiplier)} + the greater "
        f"of the rate on the underlying's value less the out-of-the-money amount and "
        f"{_percent(terms.uncovered_minimum)} of the {base}, per contract {_amount(legs.margin[0])})"
    )


def _straddle(legs: _Legs, _: Terms) -> str:
    sides = [_amount((legs.premium[k]) * legs.multiplier + legs.margin[k]) for k in (0, 1)]
    return f"{legs.quantity} x (the greater of {sides[0]} and {sides[1]} + the market value of the other option)"


def _hedge(text: str) -> Callable[[_Legs, Terms], str]:
    """A formula of hedged stock: the shares, and the rule's words with its rates filled in."""

    def told(legs: _Legs, terms: Terms) -> str:
        filled = text.format(hedge=_percent(terms.hedge_rate), long=_percent(terms.long_rate))
        return f"{filled}, for {legs.shares} shares at {_price(legs.spot)}, strikes {_strikes(legs)}"

    return told


def _strikes(legs: _Legs) -> str:
    return " and ".join(str(_price(strike)) for strike in legs.strike)


_FORMULAS: dict[Strategy, Callable[[_Legs, Terms], str]] = {
    Strategy.LONG_STOCK: lambda legs, terms: f"the long rate ({_percent(terms.long_rate)}, more for funds with "
    f"leverage and stock that is not marginable) of {_value(legs)}",
    Strategy.SHORT_STOCK: lambda legs, terms: f"the greater of {_percent(terms.short_rate)} of {_value(legs)} and "
    f"{_price(terms.short_floor)} a share (below {_price(terms.short_low_price)}: {_percent(terms.short_low_rate)} and "
    f"{_price(terms.short_low_floor)})",
    Strategy.SHORT_AGAINST_BOX: lambda legs, terms: f"{_percent(terms.box_rate)} of {_value(legs)}",
    Strategy.DEBT: lambda legs, _: f"the rate for its kind and remaining life on {legs.shares} at {_price(legs.mark)}",
    Strategy.LONG_OPTION: lambda legs, _: f"the market value {legs.shares} x {_price(legs.premium[0])} in full",
    Strategy.LONG_TERM_OPTION: lambda legs, terms: f"{_percent(terms.long_term_rate)} of the market value "
    f"{legs.shares} x {_price(legs.premium[0])}",
    Strategy.UNCOVERED: _uncovered,
    Strategy.STRADDLE: _straddle,
    Strategy.LONG_BOX: lambda legs, terms: f"{_percent(terms.long_box_rate)} of the strike interval and the short "
    f"options' value, {legs.quantity} boxes",
    Strategy.COVERED_CALL: _hedge("{long} of the stock at no more than the strike; nothing for the call"),
    Strategy.COVERED_PUT: _hedge("the short stock's requirement and the put's in-the-money amount"),
    Strategy.PROTECTIVE_PUT: _hedge(
        "the lesser of {hedge} of the strike plus the out-of-the-money amount and {long} of the stock, "
        "and the put in full"
    ),
    Strategy.PROTECTIVE_CALL: _hedge(
        "the lesser of {hedge} of the strike plus the out-of-the-money amount and the short stock's requirement, "
        "and the call in full"
    ),
    Strategy.CONVERSION: _hedge("{hedge} of the strike, and the put in full"),
    Strategy.REVERSE_CONVERSION: _hedge(
        "{hedge} of the strike plus the put's in-the-money amount, and the call in full"
    ),
    Strategy.COLLAR: _hedge(
        "the lesser of {hedge} of the put's strike plus its out-of-the-money amount and {long} of the call's strike, "
        "and the put in full"
    ),
    Strategy.CASH_ACCOUNT: lambda legs, terms: f"{_percent(terms.cash_rate)} in a cash account of {_value(legs)}",
    Strategy.CONSERVATIVE: lambda legs, terms: f"{_percent(terms.conservative_rate)} of {_value(legs)}, because "
    f"data is missing or stale",
}  # fmt: skip


def _legs(
    instruments: Instruments, positions: Positions, at: Sequence[int], quantity: Sequence[int]
) -> tuple[Leg, ...]:
    return tuple(Leg(str(instruments.id[positions.instrument[p]]), q) for p, q in zip(at, quantity, strict=True))


def _words(leg: Leg) -> str:
    return f"{'long' if leg.quantity > 0 else 'short'} {abs(leg.quantity):,} {leg.instrument.strip()}"


def _amount(micros: int) -> str:
    return f"{cents(micros):,}"


def _price(micros: int) -> Decimal:
    """A price as it is quoted: two decimals, more only where it has them."""
    exact = decimal(micros)
    return cents(micros) if exact == cents(micros) else exact.normalize()

"""The accounts of the day, all generated: clients of several kinds, the house, broker-dealers, non-customers."""

from dataclasses import dataclass

import numpy as np

from streaming.demo.identifiers import lei, random_characters
from streaming.demo.spec import DaySpec, stream

HOUSE = "HOUSE"


@dataclass(frozen=True, slots=True)
class Style:
    """How a kind of client behaves."""

    name: str
    equity: tuple[float, float]
    """Smallest and largest opening equity, USD."""
    margin: tuple[str, ...]
    """Margin types, in turn."""
    activity: float
    """Share of the day's trades, relative."""
    size: float
    """A typical stock trade as a fraction of equity."""


STYLES = {
    style.name: style
    for style in (
        Style("long_short", (8e6, 9e7), ("reg_t", "portfolio"), 5.0, 0.0015),
        Style("option_writer", (3e6, 3e7), ("reg_t", "portfolio"), 3.0, 0.001),
        Style("market_neutral", (2e7, 1.5e8), ("portfolio", "reg_t"), 9.0, 0.0008),
        Style("covered_call", (1e6, 2e7), ("reg_t",), 1.0, 0.001),
        Style("retail", (2.5e4, 4e5), ("reg_t",), 0.4, 0.004),
        Style("concentrated", (2e6, 4e7), ("reg_t",), 0.5, 0.001),
        Style("cash_only", (1e5, 3e6), ("cash",), 0.25, 0.0008),
        Style("house", (1.5e8, 1.5e8), ("reg_t",), 6.0, 0.00005),
        Style("broker_dealer", (3e7, 6e7), ("reg_t",), 4.0, 0.001),
        Style("employee", (3e5, 1e6), ("reg_t",), 0.3, 0.003),
    )
}

_MIX = (
    ("long_short",) * 4 + ("option_writer",) * 5 + ("market_neutral",) * 2 + ("covered_call",) * 3
    + ("retail",) * 3 + ("concentrated",) + ("cash_only",) * 2
)  # fmt: skip
"""The kinds of twenty consecutive client accounts."""
_OTHERS = (("PAB01", "pab", "broker_dealer"), ("PAB02", "pab", "broker_dealer"), ("PAB03", "pab", "broker_dealer"),
           ("NCU01", "non_customer", "employee"), ("NCU02", "non_customer", "employee"))  # fmt: skip

UNSECURED, DEFICIT, EURO = 0, 1, 2
"""Client accounts: the one whose debit is unsecured after the day's fall, the first with a maintenance deficit (one in
each sixty), and the one with a euro balance; all of them long/short."""
_CYCLE = 60


@dataclass(frozen=True, slots=True)
class Client:
    """One account."""

    id: str
    client: str
    kind: str
    margin_type: str
    style: Style
    number: int
    """Place among the client accounts; -1 for the house and the others."""
    equity: float
    """Opening equity, USD."""
    country: str
    lei: str

    @property
    def unsecured(self) -> bool:
        return self.number == UNSECURED

    @property
    def deficit(self) -> bool:
        return self.number >= 0 and self.number % _CYCLE == DEFICIT

    @property
    def euro(self) -> bool:
        return self.number == EURO


def build(spec: DaySpec) -> list[Client]:
    """The house first, then the broker-dealers and non-customers, then the clients."""
    special = [_make(spec, HOUSE, HOUSE, "house", "house", -1)]
    special += [_make(spec, name, name, kind, style, -1) for name, kind, style in _OTHERS]
    return special + [_client(spec, number) for number in range(spec.accounts)]


def _client(spec: DaySpec, number: int) -> Client:
    special = number <= EURO or number % _CYCLE == DEFICIT
    style = "long_short" if special else _MIX[(number * 7) % len(_MIX)]
    owner = number - 1 if number % 10 == 9 else number  # every tenth client has two accounts
    return _make(spec, f"A{number:04d}", f"C{owner:04d}", "customer", style, number)


def _make(spec: DaySpec, account: str, owner: str, kind: str, style_name: str, number: int) -> Client:
    random, style = stream(spec.seed, "account", account), STYLES[style_name]
    low, high = style.equity
    equity = round(float(np.exp(random.uniform(np.log(low), np.log(high)))), -2)
    margin_type = style.margin[(number // len(_MIX) + number) % len(style.margin)]
    country = ("US", "US", "US", "GB", "KY", "IE")[int(random.integers(6))] if style_name != "retail" else "US"
    code = lei("9999" + "00" + random_characters(stream(spec.seed, "lei", owner), 12))
    return Client(account, owner, kind, margin_type, style, number, equity, country, code)


def account_events(clients: list[Client]) -> list[dict]:
    """The reference event of every account."""
    return [
        {
            "id": client.id,
            "client": client.client,
            "kind": client.kind,
            "margin_type": client.margin_type,
            "strategy": client.style.name,
            "prime_broker": client.style.name in ("long_short", "market_neutral"),
            "currency": "USD",
            "lei": client.lei,
            "country": client.country,
        }
        for client in clients
    ]

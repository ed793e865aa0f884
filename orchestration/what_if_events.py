"""The events that a what-if stands for: what the feeds would have sent, had it happened just before the cut."""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
import orjson
import pyarrow as pa

from orchestration import calendar
from orchestration.pipeline import Home
from orchestration.what_if_file import REVALUE, Price, Trade, Transfer, WhatIf, WhatIfError
from streaming.apps import chain
from streaming.apps.routing import shard_of
from streaming.apps.valuation import dividend_yields, option_contracts, priceable
from streaming.cuts import SealedCut
from streaming.demo.session import settlement_days
from streaming.engine.canonical import decimal_to_int64
from streaming.engine.epochs import Epoch
from streaming.engine.replay import sealed_state
from streaming.risk.market import PriceSet
from streaming.risk.money import MICRO, round_model
from streaming.risk.pricing.revalue import revalue
from streaming.risk.reference import Instruments
from streaming.schema.raw import CASH, CUSTODY, PRICES, TRADES

Partition = tuple[str, int]
_SOURCE = "what-if"
_SEQUENCE = 1 << 62
"""Behind every real one."""
_LEAST = 10_000
"""Micros: what an option is quoted at that the model sees worth nothing."""


class Events:
    """The hypothetical events of one question to one cut, by partition in the order of the file."""

    def __init__(self, home: Home, cut: SealedCut, epoch: Epoch, question: WhatIf):
        self._home, self._cut, self._epoch, self._question = home, cut, epoch, question
        self._shards = home.log.topics()["trades"]
        self._prices = {row["instrument"]: row for row in cut.table("prices").to_pylist()}
        self._problems: list[str] = []
        self.payloads: dict[Partition, list[bytes]] = {}
        self.accounts: frozenset[str] = frozenset()
        """Whom they name."""
        self.expected: dict[str, Decimal] = {}
        """Instrument -> the price it must have on the branch."""
        self._check()
        if not self._problems:
            self._make()
        if self._problems:
            raise WhatIfError(self._problems)

    @property
    def count(self) -> int:
        return sum(len(payloads) for payloads in self.payloads.values())

    def _check(self) -> None:
        asked = self._question
        known = set(self._cut.table("accounts")["id"].to_pylist())
        named = [(f"trade {n}: account", trade.account) for n, trade in enumerate(asked.trades, 1)]
        named += [(f"cash {n}: account", cash.account) for n, cash in enumerate(asked.cash, 1)]
        for n, transfer in enumerate(asked.transfers, 1):
            named += [(f"transfer {n}: from", transfer.source), (f"transfer {n}: to", transfer.target)]
            if transfer.source == transfer.target:
                self._problems.append(f"transfer {n}: to: expected another account than from, found {transfer.target}")
        self._known(named, known, "accounts")
        self.accounts = frozenset(name for _, name in named)
        instruments = [(f"trade {n}: instrument", trade.instrument) for n, trade in enumerate(asked.trades, 1)]
        instruments += [(f"price {n}: instrument", price.instrument) for n, price in enumerate(asked.prices, 1)]
        instruments += [
            (f"transfer {n}: instrument", transfer.instrument)
            for n, transfer in enumerate(asked.transfers, 1)
            if transfer.instrument
        ]
        self._known(instruments, set(self._prices), "instruments")

    def _known(self, named: list[tuple[str, str]], known: set[str], what: str) -> None:
        for where, name in named:
            if name not in known:
                self._problems.append(f"{where}: expected one of the {len(known):,} {what} of the cut, found {name!r}")

    def _make(self) -> None:
        for n, trade in enumerate(self._question.trades, 1):
            self._trade(n, trade)
        for n, cash in enumerate(self._question.cash, 1):
            kind = "deposit" if cash.amount > 0 else "withdrawal"
            self._cash(f"C{n}", kind, cash.account, cash.amount, cash.currency)
        for n, transfer in enumerate(self._question.transfers, 1):
            if transfer.amount is not None:
                self._cash(f"T{n}-FROM", "transfer", transfer.source, -transfer.amount, transfer.currency)
                self._cash(f"T{n}-TO", "transfer", transfer.target, transfer.amount, transfer.currency)
            else:
                self._position(n, transfer)
        moved = {item.instrument: found for item in self._question.prices if (found := self._moved(item)) is not None}
        for name, price in {**self._options(moved), **moved}.items():
            self._quote(name, price)

    def _add(self, topic: str, partition: int, event: Mapping[str, object]) -> None:
        at = datetime.fromtimestamp(self._epoch.time / 1e6, UTC).isoformat(timespec="microseconds")
        whole = {"schema": 1, **event, "event_time": at, "business_date": self._epoch.day.isoformat()}
        self.payloads.setdefault((topic, partition), []).append(orjson.dumps(whole, default=_plain))

    def _account_event(self, topic: str, number: str, account: str, event: Mapping[str, object]) -> None:
        id_ = f"WHATIF-{self._question.name}-{number}"[:64]
        whole = {"id": id_, "version": 1, "action": "new", "account": account, **event}
        self._add(topic, shard_of(account, self._shards), whole)

    def _trade(self, number: int, trade: Trade) -> None:
        price = trade.price if trade.price is not None else self._prices[trade.instrument]["price"]
        if trade.price is None and self._prices[trade.instrument]["status"] == "missing":
            self._problems.append(f"trade {number}: price: expected one, the cut has none of {trade.instrument}")
        self._account_event(
            TRADES.name, f"F{number}", trade.account,
            {"instrument": trade.instrument, "kind": "trade", "side": trade.side, "quantity": trade.quantity,
             "price": price, "fee": trade.fee, "settle_date": trade.settle_date or self._settlement(),
             "counterparty": _SOURCE},
        )  # fmt: skip

    def _settlement(self) -> date:
        """The settle date of a trade of the day, by the cycle of the rule date."""
        rule_date = self._question.rule_date or date.fromisoformat(self._cut.manifest["versions"]["rule_date"])
        days, day = settlement_days(rule_date), self._epoch.day
        return calendar.sessions(day + timedelta(days=1), day + timedelta(days=14))[days - 1]

    def _cash(self, number: str, kind: str, account: str, amount: Decimal, currency: str) -> None:
        settled = self._epoch.day.isoformat()
        event = {"kind": kind, "currency": currency, "amount": amount, "settle_date": settled}
        self._account_event(CASH.name, number, account, event)

    def _position(self, number: int, transfer: Transfer) -> None:
        """Out of one account and into the other, as openings: with the pro-rata cost, P&L since the previous close."""
        rows = self._cut.table("positions").to_pylist()
        held = next(
            (r for r in rows if (r["account"], r["instrument"]) == (transfer.source, transfer.instrument)), None
        )
        size = abs(held["quantity"]) if held else 0
        if held is None or transfer.quantity > size:
            found = f"{transfer.source} holds {size:,} {transfer.instrument}"
            self._problems.append(f"transfer {number}: quantity: expected at most the position, {found}")
            return
        quantity = transfer.quantity if held["quantity"] > 0 else -transfer.quantity
        cost = round(held["cost"] * transfer.quantity / size, 6)
        for side, account, sign in (("FROM", transfer.source, -1), ("TO", transfer.target, 1)):
            self._account_event(
                CUSTODY.name, f"P{number}-{side}", account,
                {"instrument": transfer.instrument, "kind": "opening", "quantity": sign * quantity,
                 "cost": sign * cost},
            )  # fmt: skip

    def _moved(self, item: Price) -> Decimal | None:
        """The price an instrument is moved to."""
        if item.price is not None:
            return item.price
        assert item.change is not None
        found = self._prices[item.instrument]
        price = round(found["price"] * (1 + item.change), 6)
        if found["status"] == "missing" or price <= 0:
            self._problems.append(f"price of {item.instrument}: expected one above 0 to change, found {found['price']}")
            return None
        return price

    def _quote(self, instrument: str, price: Decimal) -> None:
        """A quote; where the official close counts already, a close."""
        event: dict[str, object] = {"instrument": instrument, "sequence": _SEQUENCE, "source": _SOURCE}
        if self._prices[instrument]["close"]:
            event |= {"kind": "close", "last": price}
        else:
            event |= {"kind": "quote", "bid": price, "ask": price}
        self.expected[instrument] = price
        self._add(PRICES.name, 0, event)

    def _options(self, moved: Mapping[str, Decimal]) -> dict[str, Decimal]:
        """Prices of the options on what is moved: the cut's, and what the model says the move changes."""
        roots = [item.instrument for item in self._question.prices if item.options == REVALUE]
        if not set(roots) & set(moved):
            return {}
        own = {item.instrument for item in self._question.prices}
        series = _Series(self._home, self._cut, self._epoch, {name: moved[name] for name in roots if name in moved})
        found = {}
        for name, change in series.changes():
            quoted = self._prices[name]
            if name not in own and quoted["status"] != "missing":
                found[name] = max(quoted["price"] + change, Decimal(_LEAST) / MICRO)
        return found


def _plain(value: object) -> str:
    """Decimals and dates as the feeds write them."""
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


class _Series:
    """The option series on some underlyings, with the volatilities that the cut sealed."""

    def __init__(self, home: Home, cut: SealedCut, epoch: Epoch, moved: Mapping[str, Decimal]):
        market = next(job for job in chain.jobs() if "reference" in {app.name for app in job.apps})
        reference = sealed_state(market, 0, home.store, cut.id, cut.version).states["reference"]
        self.instruments = Instruments.from_table(reference.instruments)
        self._rates: pa.Table = reference.rates
        self._epoch = epoch
        n = len(self.instruments)
        at = {str(name): code for code, name in enumerate(self.instruments.id)}
        price, vol = np.zeros(n, np.int64), np.zeros(n, np.int64)
        for table, column, values in (("prices", "price", price), ("valuation", "vol", vol)):
            rows = cut.table(table)
            values[[at[name] for name in rows["instrument"].to_pylist()]] = decimal_to_int64(rows[column])
        self._price, self._vol = price, vol
        self._after = price.copy()
        for name, value in moved.items():
            self._after[at[name]] = int(value * MICRO)
        self._codes = [at[name] for name in moved]

    def changes(self) -> Iterator[tuple[str, Decimal]]:
        """Name and change of model value of every series that has a volatility."""
        nothing = np.zeros(len(self.instruments), np.int64)
        market = PriceSet(self._epoch.price_set, self._epoch.time, self._price, nothing, nothing, nothing, {})
        day = (self._epoch.day - date(1970, 1, 1)).days
        options = priceable(self.instruments, market, day)
        options = options[np.isin(self.instruments.underlying[options], self._codes) & (self._vol[options] > 0)]
        if not len(options):
            return
        paid = dividend_yields(self._rates, self.instruments, options, self._epoch.time, self._price)
        contracts = option_contracts(self._rates, self.instruments, options, self._epoch.time, paid)
        spots = np.stack([self._price, self._after], axis=1) / MICRO
        values = round_model(revalue(contracts, spots, self._vol[options] / MICRO))
        for code, (before, after) in zip(options.tolist(), values.tolist(), strict=True):
            yield str(self.instruments.id[code]), Decimal(after - before) / MICRO

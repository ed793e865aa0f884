"""What the day's events leave to settle, straight from the book's rows: by security, and in money by currency.

This is a route of its own beside the fold of positions: it sums over accounts first and knows no cost basis, so that
stock record and cash can be reconciled against positions without comparing a number with itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from streaming.apps.corporate_actions import CASH_DIVIDEND, EXPIRY, SPLIT
from streaming.risk.reference import Kind

AT_ONCE = 0
"""Settle date of what needs no further settlement: expiries and what they deliver."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What the flows need to know of instruments; row number = code."""

    kind: np.ndarray
    underlying: np.ndarray
    right: np.ndarray
    strike: np.ndarray
    multiplier: np.ndarray

    @classmethod
    def of(cls, instruments: pa.Table) -> "Terms":
        columns = ("kind", "underlying", "right", "strike", "multiplier")
        return cls(*(instruments[name].to_numpy(zero_copy_only=False).astype(np.int64) for name in columns))

    def cash_settled(self, code: np.ndarray) -> np.ndarray:
        """True for options on an index."""
        return self.kind[self.underlying[code]] == Kind.INDEX


@dataclass(frozen=True, slots=True)
class Flows:
    """Changes of positions, one row each."""

    account: np.ndarray
    instrument: np.ndarray
    epoch: np.ndarray
    """When it takes effect; an action applies to what came in an earlier epoch."""
    quantity: np.ndarray
    """Signed units: into the account positive."""
    money: np.ndarray
    """Micros of the instrument's currency: into the account positive."""
    settle: np.ndarray
    """Day on which the securities settle."""
    street: np.ndarray
    """True where the other side is the street; False for positions with which the day began."""

    def joined(self, *others: "Flows") -> "Flows":
        names = self.__dataclass_fields__
        return Flows(*(np.concatenate([getattr(item, name) for item in (self, *others)]) for name in names))


def openings(columns: Mapping[str, np.ndarray]) -> Flows:
    """Opening positions: ``account``, ``instrument``, ``epoch`` and ``quantity``."""
    n = len(columns["epoch"])
    return _flows(columns["account"], columns["instrument"], columns["epoch"], columns["quantity"], np.zeros(n, int))


def trades(columns: Mapping[str, np.ndarray], terms: Terms) -> Flows:
    """Trades, and exercises and assignments with the delivery of the underlying.

    ``columns``: account, instrument, epoch, quantity (signed), price, fee, settle, exercised.
    """
    code, quantity, exercised = columns["instrument"], columns["quantity"], columns["exercised"] != 0
    physical = exercised & ~terms.cash_settled(code)
    price = np.where(physical, 0, columns["price"])
    money = -quantity * price * terms.multiplier[code] - columns["fee"]
    own = _flows(columns["account"], code, columns["epoch"], quantity, money, columns["settle"])
    rows = np.flatnonzero(physical)
    legs = _delivery(
        columns["account"][rows], code[rows], columns["epoch"][rows], -quantity[rows], columns["settle"][rows], terms
    )
    return own.joined(legs)


def _flows(account, instrument, epoch, quantity, money, settle=None) -> Flows:
    n = len(epoch)
    dates = np.full(n, AT_ONCE) if settle is None else settle
    return Flows(account, instrument, epoch, quantity, money, dates, np.full(n, settle is not None))


def _delivery(account, option, epoch, exercised, settle, terms: Terms) -> Flows:
    """The underlying that signed contracts exercised (long positive) bring, against the strike."""
    under = terms.underlying[option]
    quantity = exercised * terms.right[option] * terms.multiplier[option]
    money = -quantity * terms.strike[option] * terms.multiplier[under]
    return _flows(account, under, epoch, quantity, money, settle)


def with_actions(flows: Flows, actions: pa.Table, terms: Terms, threshold: int) -> Flows:
    """The flows after the day's effective splits, dividends and expiries, in the order in which they apply.

    A split changes quantities in place; a dividend, the cash for fractions, an expiry and its delivery are flows of
    their own. Flows of an expired series that are reported late count before the expiry. ``threshold``: micros in the
    money from which an expiring option is exercised.
    """
    for action in actions.to_pylist():
        before = (flows.epoch < action["epoch"]) | (action["kind"] == EXPIRY)
        rows = np.flatnonzero((flows.instrument == action["instrument"]) & before)
        held = rows[flows.account[rows] >= 0]
        if action["kind"] == SPLIT and len(rows):
            flows = _split(flows, rows, action, terms)
        elif action["kind"] == CASH_DIVIDEND and len(held):
            paid = flows.quantity[held] * action["amount"]
            flows = flows.joined(_by_action(action, flows.account[held], np.zeros_like(paid), paid))
        elif action["kind"] == EXPIRY and len(held):
            flows = flows.joined(*_expiry(flows.account[held], flows.quantity[held], action, terms, threshold))
    return flows


def _by_action(
    action: dict, account: np.ndarray, quantity: np.ndarray, money: np.ndarray, street: bool = True
) -> Flows:
    """Flows that an action brings about in its own instrument."""
    n = len(account)
    instrument, epoch = np.full(n, action["instrument"]), np.full(n, action["epoch"])
    return Flows(account, instrument, epoch, quantity, money, np.full(n, AT_ONCE), np.full(n, street))


def _split(flows: Flows, rows: np.ndarray, action: dict, terms: Terms) -> Flows:
    """New units for old, whole by account; the fraction is paid in cash."""
    numerator, denominator = action["numerator"], action["denominator"]
    accounts, where = np.unique(flows.account[rows], return_inverse=True)
    held = np.zeros(len(accounts), np.int64)
    np.add.at(held, where, flows.quantity[rows])
    quantity = flows.quantity.copy()
    quantity[rows] = quantity[rows] * numerator // denominator
    scaled = np.zeros(len(accounts), np.int64)
    np.add.at(scaled, where, quantity[rows])
    whole = np.sign(held) * (np.abs(held) * numerator // denominator)
    part = np.abs(held) * numerator % denominator
    unit = action["price"] * int(terms.multiplier[action["instrument"]])
    paid = np.sign(held) * ((unit * part + denominator // 2) // denominator)
    odd = (whole != scaled) | (paid != 0)
    fractions = _by_action(action, accounts[odd], (whole - scaled)[odd], paid[odd], street=False)
    return replace(flows, quantity=quantity).joined(fractions)


def _expiry(account: np.ndarray, held: np.ndarray, action: dict, terms: Terms, threshold: int) -> list[Flows]:
    """The series is gone; in the money it pays cash (index), or is exercised into the underlying."""
    code = action["instrument"]
    value = int(terms.right[code]) * (action["price"] - int(terms.strike[code]))
    if terms.cash_settled(np.array([code]))[0]:
        return [_by_action(action, account, -held, held * max(value, 0) * int(terms.multiplier[code]))]
    gone = _by_action(action, account, -held, np.zeros_like(held))
    if value < threshold:
        return [gone]
    option, at_once = np.full(len(held), code), np.full(len(held), AT_ONCE)
    return [gone, _delivery(account, option, gone.epoch, held, at_once, terms)]

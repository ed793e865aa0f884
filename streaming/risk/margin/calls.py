"""When a margin call is due: business days on the exchange's calendar, which is an argument."""

import numpy as np

from streaming.risk.rulebook import Rules


class CalendarError(ValueError):
    """The calendar does not reach the day asked for."""


def business_day(day: int, count: int, sessions: np.ndarray) -> int:
    """The ``count``-th session after ``day``; ``sessions``: the exchange's trading days, sorted, since 1970-01-01."""
    if len(sessions) == 0 or day < sessions[0]:
        found = sessions[0] if len(sessions) else "no sessions"
        raise CalendarError(f"calendar: expected sessions from day {day}, found the first on {found}")
    position = int(np.searchsorted(sessions, day, side="right")) + count - 1
    if position >= len(sessions):
        raise CalendarError(f"calendar: expected {count} sessions after day {day}, found the last on {sessions[-1]}")
    return int(sessions[position])


def reg_t_due(trade_day: int, sessions: np.ndarray, rules: Rules) -> int:
    """End of the payment period: the settlement cycle plus two business days (12 CFR 220.2)."""
    days = int(rules.value("regt.call.settlement_cycle")) + int(rules.value("regt.call.payment_days"))
    return business_day(trade_day, days, sessions)


def maintenance_due(call_day: int, sessions: np.ndarray, rules: Rules) -> int:
    """The last day to meet a maintenance call: fifteen business days (FINRA 4210(f)(6))."""
    return business_day(call_day, int(rules.value("regt.call.maintenance_days")), sessions)


def house_due(call_day: int, sessions: np.ndarray, rules: Rules) -> int:
    """The day a house call is due: house policy, the next business day."""
    return business_day(call_day, int(rules.value("regt.call.house_days")), sessions)


def prime_broker_due(day: int, sessions: np.ndarray, rules: Rules) -> int:
    """The day by whose noon a prime-broker client's minimum equity is restored (1994 letter)."""
    return business_day(day, int(rules.value("regt.prime_broker.restore_days")), sessions)


def disregarded(reg_t_call: np.ndarray, rules: Rules) -> np.ndarray:
    """True for a Regulation T deficiency that may be disregarded (220.4(d)): above zero, at most 1,000 dollars."""
    return (reg_t_call > 0) & (reg_t_call <= rules.micros("regt.initial.disregarded_deficiency"))

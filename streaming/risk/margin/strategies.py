"""The names of what a position may be margined as, and the rule paragraph of each."""

from enum import IntEnum


class Strategy(IntEnum):
    """One treatment of one or several legs."""

    LONG_STOCK = 0
    SHORT_STOCK = 1
    SHORT_AGAINST_BOX = 2
    DEBT = 3
    LONG_OPTION = 4
    LONG_TERM_OPTION = 5
    UNCOVERED = 6
    STRADDLE = 7
    SPREAD = 8
    LONG_BOX = 9
    """European cash-settled long box margined with loan value."""
    COVERED_CALL = 10
    COVERED_PUT = 11
    PROTECTIVE_PUT = 12
    PROTECTIVE_CALL = 13
    CONVERSION = 14
    REVERSE_CONVERSION = 15
    COLLAR = 16
    CASH_ACCOUNT = 17
    """Paid in full: a cash account's position."""
    CONSERVATIVE = 18
    """Charged in full because a price, multiplier or reference is missing or stale."""


LABELS = {
    Strategy.LONG_STOCK: "long stock",
    Strategy.SHORT_STOCK: "short stock",
    Strategy.SHORT_AGAINST_BOX: "short against the box",
    Strategy.DEBT: "debt",
    Strategy.LONG_OPTION: "long option",
    Strategy.LONG_TERM_OPTION: "long-term option",
    Strategy.UNCOVERED: "uncovered option",
    Strategy.STRADDLE: "short straddle or strangle",
    Strategy.SPREAD: "spread",
    Strategy.LONG_BOX: "long box with loan value",
    Strategy.COVERED_CALL: "covered call",
    Strategy.COVERED_PUT: "covered put",
    Strategy.PROTECTIVE_PUT: "protective put",
    Strategy.PROTECTIVE_CALL: "protective call",
    Strategy.CONVERSION: "conversion",
    Strategy.REVERSE_CONVERSION: "reverse conversion",
    Strategy.COLLAR: "collar",
    Strategy.CASH_ACCOUNT: "paid in full",
    Strategy.CONSERVATIVE: "charged in full",
}

PARAGRAPHS = {
    Strategy.LONG_STOCK: "FINRA 4210(c)(1)",
    Strategy.SHORT_STOCK: "FINRA 4210(c)(2), (3)",
    Strategy.SHORT_AGAINST_BOX: "FINRA 4210(e)(1)",
    Strategy.DEBT: "FINRA 4210(e)(2)",
    Strategy.LONG_OPTION: "FINRA 4210(f)(2)(D)",
    Strategy.LONG_TERM_OPTION: "FINRA 4210(f)(2)(D)",
    Strategy.UNCOVERED: "FINRA 4210(f)(2)(E)",
    Strategy.STRADDLE: "FINRA 4210(f)(2)(F)",
    Strategy.SPREAD: "FINRA 4210(f)(2)(H)(i)",
    Strategy.LONG_BOX: "FINRA 4210(f)(2)(H)",
    Strategy.COVERED_CALL: "FINRA 4210(f)(2)(H)(iv)",
    Strategy.COVERED_PUT: "FINRA 4210(f)(2)(H)(iv)",
    Strategy.PROTECTIVE_PUT: "FINRA 4210(f)(2)(H)(v)",
    Strategy.PROTECTIVE_CALL: "FINRA 4210(f)(2)(H)(v)",
    Strategy.CONVERSION: "FINRA 4210(f)(2)(H)(v)",
    Strategy.REVERSE_CONVERSION: "FINRA 4210(f)(2)(H)(v)",
    Strategy.COLLAR: "FINRA 4210(f)(2)(H)(v)",
    Strategy.CASH_ACCOUNT: "12 CFR 220.8",
    Strategy.CONSERVATIVE: "Plumbline, missing data",
}

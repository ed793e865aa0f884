"""The numbers of Regulation T and FINRA 4210 in force on a rule date, as plain integers for the kernels."""

from typing import NamedTuple

from streaming.risk.rulebook import Rules


class Terms(NamedTuple):
    """Rates in ppm, amounts in micros; each field is one parameter of ``regt.toml`` (see :data:`PARAMETERS`)."""

    long_rate: int
    non_margin_rate: int
    short_low_price: int
    short_low_floor: int
    short_low_rate: int
    short_floor: int
    short_rate: int
    leverage_cap: int
    box_rate: int
    initial_long: int
    initial_short: int
    initial_short_with_call: int
    initial_non_margin: int
    long_option_rate: int
    long_term_rate: int
    uncovered_equity: int
    uncovered_broad: int
    uncovered_minimum: int
    long_box_rate: int
    hedge_rate: int
    conservative_rate: int
    cash_rate: int


PARAMETERS = {
    "long_rate": "regt.maintenance.long_equity",
    "non_margin_rate": "regt.maintenance.non_margin_equity",
    "short_low_price": "regt.maintenance.short.low_price",
    "short_low_floor": "regt.maintenance.short.low_price_floor",
    "short_low_rate": "regt.maintenance.short.low_price_rate",
    "short_floor": "regt.maintenance.short.floor",
    "short_rate": "regt.maintenance.short.rate",
    "leverage_cap": "regt.maintenance.leveraged_cap",
    "box_rate": "regt.maintenance.short_against_the_box",
    "initial_long": "regt.initial.long_equity",
    "initial_short": "regt.initial.short_equity",
    "initial_short_with_call": "regt.initial.short_equity_with_call",
    "initial_non_margin": "regt.initial.non_margin_equity",
    "long_option_rate": "regt.option.long_rate",
    "long_term_rate": "regt.option.long_term_rate",
    "uncovered_equity": "regt.option.uncovered.equity",
    "uncovered_broad": "regt.option.uncovered.broad_index",
    "uncovered_minimum": "regt.option.uncovered.minimum",
    "long_box_rate": "regt.option.long_box_rate",
    "hedge_rate": "regt.option.hedge_rate",
    "conservative_rate": "regt.conservative_rate",
    "cash_rate": "regt.cash_account_rate",
}
"""The parameter id behind each field of :class:`Terms`."""


def terms_of(rules: Rules) -> Terms:
    """The terms of ``rules`` at its rule date."""
    return Terms(*(rules.ppm(parameter) for parameter in map(PARAMETERS.__getitem__, Terms._fields)))

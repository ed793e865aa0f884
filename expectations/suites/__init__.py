"""All suites, one module per subject."""

from expectations.suites import (
    actions,
    capital,
    cash,
    certificate,
    margin,
    options,
    positions,
    prices,
    reference,
    streams,
    trades,
)

SUITES = (
    *streams.SUITES,
    *reference.SUITES,
    *prices.SUITES,
    *options.SUITES,
    *trades.SUITES,
    *positions.SUITES,
    *cash.SUITES,
    *actions.SUITES,
    *margin.SUITES,
    *capital.SUITES,
    *certificate.SUITES,
)

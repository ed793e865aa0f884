"""All suites, one module per subject."""

from expectations.suites import actions, cash, options, positions, prices, streams, trades

SUITES = (
    *streams.SUITES,
    *prices.SUITES,
    *options.SUITES,
    *trades.SUITES,
    *positions.SUITES,
    *cash.SUITES,
    *actions.SUITES,
)

"""All suites, one module per subject."""

from expectations.suites import positions, prices, streams

SUITES = (*streams.SUITES, *prices.SUITES, *positions.SUITES)

"""The exchange's business days."""

from functools import cache

import numpy as np

_FIRST, _LAST = "2000-01-03", "2040-12-31"
"""Fixed, so that the calendar is the same whenever a day is computed."""


@cache
def sessions() -> np.ndarray:
    """Sessions of the New York Stock Exchange, ascending: int64 days since 1970-01-01."""
    import exchange_calendars  # takes a second: only where due dates are computed

    calendar = exchange_calendars.get_calendar("XNYS", start=_FIRST, end=_LAST)
    return calendar.sessions.to_numpy().astype("datetime64[D]").astype(np.int64)

"""What is to be valued, as columns: option contracts with what their values depend on besides spot and volatility."""

from dataclasses import dataclass, fields, replace

import numpy as np

from streaming.risk.reference import Right, Style

MICROSECONDS_PER_DAY = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Dividends:
    """Cash dividends by underlying: those of underlying u are rows ``start[u]:start[u + 1]``, in order of time."""

    start: np.ndarray
    """int64, one more than there are underlyings."""
    time: np.ndarray
    """float64 years from the snapshot to the start of the ex-day; at or below 0 the spot is ex already."""
    amount: np.ndarray
    """float64 per unit of the underlying."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", np.ascontiguousarray(self.start, dtype=np.int64))
        object.__setattr__(self, "time", np.ascontiguousarray(self.time, dtype=np.float64))
        object.__setattr__(self, "amount", np.ascontiguousarray(self.amount, dtype=np.float64))
        check_column("dividends.time", self.time, len(self.amount))
        check_column("dividends.amount", self.amount, len(self.time), low=0.0)
        if (
            len(self.start) == 0
            or self.start[0] != 0
            or self.start[-1] != len(self.time)
            or np.any(np.diff(self.start) < 0)
        ):
            raise ValueError(
                f"dividends.start: expected rising row numbers from 0 to {len(self.time)}, found {self.start}"
            )
        rising = np.diff(self.time) >= 0.0
        rising[self.start[1:-1][(self.start[1:-1] > 0) & (self.start[1:-1] < len(self.time))] - 1] = True
        if not np.all(rising):
            raise ValueError("dividends.time: expected rising times within each underlying")

    @classmethod
    def none(cls, underlyings: int) -> "Dividends":
        return cls(np.zeros(underlyings + 1, np.int64), np.empty(0), np.empty(0))


@dataclass(frozen=True, slots=True)
class Contracts:
    """Option columns, one row per contract. Prices are per unit of the underlying, in its own currency.

    An option whose style, expiry or strike is unknown does not belong here: it is excluded and listed before.
    """

    right: np.ndarray
    """``Right``: +1 call, -1 put."""
    style: np.ndarray
    """``Style``: European or American."""
    strike: np.ndarray
    """float64, > 0."""
    expiry: np.ndarray
    """float64 years, ``(expiry instant - snapshot instant) / 365 days``; at or below 0 the value is intrinsic."""
    rate: np.ndarray
    """float64 per year, continuously compounded."""
    carry_yield: np.ndarray
    """float64 per year, continuously compounded: dividend yield plus borrow fee."""
    underlying: np.ndarray
    """int64: row of the spot array, and of ``dividends``."""
    dividends: Dividends | None = None
    """Cash dividends, in place of or besides the yield; None = none."""

    def __post_init__(self) -> None:
        rows = len(self.strike)
        for name, kind in _TYPES.items():
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name), dtype=kind))
            check_column(name, getattr(self, name), rows)
        check_column("strike", self.strike, rows, low=np.nextafter(0.0, 1.0))
        for name, allowed in (("right", (Right.CALL, Right.PUT)), ("style", (Style.EUROPEAN, Style.AMERICAN))):
            column = getattr(self, name)
            wrong = np.flatnonzero(~np.isin(column, allowed))
            if len(wrong):
                raise ValueError(
                    f"{name}[{wrong[0]}]: expected one of {tuple(map(int, allowed))}, found {column[wrong[0]]}"
                )

    def __len__(self) -> int:
        return len(self.strike)

    def take(self, rows: np.ndarray) -> "Contracts":
        """The contracts of some rows, in that order; dividends stay by underlying."""
        return replace(
            self, **{item.name: getattr(self, item.name)[rows] for item in fields(self) if item.name in _TYPES}
        )


_TYPES = {
    "right": np.int8, "style": np.int8, "strike": np.float64, "expiry": np.float64,
    "rate": np.float64, "carry_yield": np.float64, "underlying": np.int64,
}  # fmt: skip


def check_column(name: str, column: np.ndarray, rows: int, low: float = -np.inf) -> None:
    """Refuse a column of another length, or with a value below ``low``, infinite or not a number."""
    if column.shape != (rows,):
        raise ValueError(f"{name}: expected a column of {rows} rows, found shape {column.shape}")
    wrong = np.flatnonzero(~(np.isfinite(column) & (column >= low)))
    if len(wrong):
        raise ValueError(f"{name}[{wrong[0]}]: expected a finite number of at least {low:g}, found {column[wrong[0]]}")


def years(expiry_instant: np.ndarray, snapshot_instant: int, days_per_year: float = 365.0) -> np.ndarray:
    """Microsecond instants to years from the snapshot; never negative."""
    left = (np.asarray(expiry_instant, dtype=np.int64) - snapshot_instant) / (MICROSECONDS_PER_DAY * days_per_year)
    return np.maximum(left, 0.0)

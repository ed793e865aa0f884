"""Columns that grow all day without being copied at every step."""

from collections.abc import Mapping

import numpy as np

_IDENTIFYING = 5


class Growing:
    """Equal-length int64 columns; appending is amortised, the canonical encoding is that of the plain arrays."""

    def __init__(self, names: tuple[str, ...]):
        self.names = names
        self._columns = {name: np.empty(1024, np.int64) for name in names}
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, name: str) -> np.ndarray:
        """The column: a view, valid until the next append."""
        return self._columns[name][: self._length]

    def append(self, rows: Mapping[str, np.ndarray]) -> None:
        more = len(rows[self.names[0]])
        if self._length + more > len(self._columns[self.names[0]]):
            capacity = max(2 * len(self._columns[self.names[0]]), self._length + more)
            for name in self.names:
                grown = np.empty(capacity, np.int64)
                grown[: self._length] = self._columns[name][: self._length]
                self._columns[name] = grown
        for name in self.names:
            self._columns[name][self._length : self._length + more] = rows[name]
        self._length += more

    def where(self, selective: str, value: int, other: str, its_value: int) -> np.ndarray:
        """Ascending numbers of the rows with these values in two columns; few rows have the first."""
        rows = np.flatnonzero(self[selective] == value)
        return rows[self[other][rows] == its_value]

    def remove(self, rows: np.ndarray) -> None:
        """Without these rows (a mask or row numbers), in order; only what stands behind the first of them moves."""
        gone = np.flatnonzero(rows) if rows.dtype == bool else rows
        if not len(gone):
            return
        first = int(gone.min())
        kept = np.ones(self._length - first, bool)
        kept[gone - first] = False
        count = int(kept.sum())
        for name in self.names:
            self._columns[name][first : first + count] = self[name][first:][kept]
        self._length = first + count

    def clear(self) -> None:
        self._length = 0

    def take(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        return {name: self[name][rows] for name in self.names}

    def columns(self) -> dict[str, np.ndarray]:
        """Sorted by the first names, which identify a row: the order in which rows came does not count."""
        order = np.lexsort([self[name] for name in reversed(self.names[:_IDENTIFYING])])
        return {name: self[name][order] for name in self.names}

    def __canonical__(self) -> dict[str, object]:
        return {"names": self.names, "columns": self.columns()}

    @classmethod
    def from_canonical(cls, plain: dict) -> "Growing":
        made = cls(tuple(plain["names"]))
        made.append(plain["columns"])
        return made

"""Expectations that Great Expectations does not have, written as its own so that Data Docs shows them.

Each looks at the whole frame and says by how much each row is beyond what is allowed: 0 or less is within, NaN is a row
that it does not concern. The failing rows come out worst first.
"""

from typing import Any, ClassVar

import numpy as np
import pandas as pd
from great_expectations.core.metric_domain_types import MetricDomainTypes
from great_expectations.execution_engine import PandasExecutionEngine
from great_expectations.expectations.expectation import BatchExpectation
from great_expectations.expectations.metrics.metric_provider import metric_value
from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider

WORST = 3
"""Rows in a sample."""
LISTED = 200
"""Failing rows whose index a result carries."""


class TableFrame(TableMetricProvider):
    """The whole frame as a metric."""

    metric_name = "table.frame"

    @metric_value(engine=PandasExecutionEngine)
    def _pandas(cls, execution_engine, metric_domain_kwargs, metric_value_kwargs, metrics, runtime_configuration):  # noqa: N805
        frame, _, _ = execution_engine.get_compute_domain(metric_domain_kwargs, domain_type=MetricDomainTypes.TABLE)
        return frame


class FrameExpectation(BatchExpectation):
    """Base: ``beyond(frame)`` of a subclass decides."""

    metric_dependencies: ClassVar[tuple[str, ...]] = ("table.frame",)
    domain_keys: ClassVar[tuple[str, ...]] = ("batch_id",)

    where: str | None = None
    """Pandas query: the rows concerned; None = all."""

    def beyond(self, frame: pd.DataFrame) -> pd.Series:
        raise NotImplementedError

    def summary(self, frame: pd.DataFrame, beyond: pd.Series) -> Any:
        """The observed value: the worst."""
        concerned = beyond.dropna()
        return f"{int((concerned > 0).sum())} of {len(concerned)} rows"

    def _validate(self, metrics, runtime_configuration=None, execution_engine=None):
        whole = metrics["table.frame"]
        frame = whole.query(self.where) if self.where else whole
        beyond = self.beyond(frame).astype(float)
        failing = beyond[beyond > 0].sort_values(ascending=False, kind="stable")
        return {
            "success": failing.empty,
            "result": {
                "observed_value": self.summary(frame, beyond),
                "element_count": int(beyond.notna().sum()),
                "unexpected_count": len(failing),
                "partial_unexpected_index_list": failing.index[:LISTED].tolist(),
            },
        }


class ExpectNoRowsWhere(FrameExpectation):
    """No row meets a condition."""

    condition: str
    worst: str | None = None
    """Column whose absolute value ranks the failing rows."""

    def beyond(self, frame: pd.DataFrame) -> pd.Series:
        met = frame.eval(self.condition).astype(bool)
        rank = frame[self.worst].abs().fillna(0) + 1 if self.worst else pd.Series(1.0, frame.index)
        return rank.where(met, 0)


class ExpectShareToBeAtMost(FrameExpectation):
    """At most a share of the rows meets a condition."""

    condition: str
    share_max: float

    def _share(self, frame: pd.DataFrame) -> float:
        return float(frame.eval(self.condition).astype(bool).mean()) if len(frame) else 0.0

    def beyond(self, frame: pd.DataFrame) -> pd.Series:
        met = frame.eval(self.condition).astype(bool)
        return met.astype(float) if self._share(frame) > self.share_max else pd.Series(0.0, frame.index)

    def summary(self, frame: pd.DataFrame, beyond: pd.Series) -> Any:
        return round(self._share(frame), 6)


class ExpectColumnsToAgree(FrameExpectation):
    """Two columns differ by no more than a tolerance, absolute plus relative to the expected one."""

    expected: str
    found: str
    absolute: float = 0.0
    relative: float = 0.0

    def beyond(self, frame: pd.DataFrame) -> pd.Series:
        difference = (frame[self.found] - frame[self.expected]).abs()
        allowed = self.absolute + self.relative * frame[self.expected].abs()
        nothing = frame[self.found].isna() | frame[self.expected].isna()
        return (difference - allowed).mask(nothing, np.inf)

    def summary(self, frame: pd.DataFrame, beyond: pd.Series) -> Any:
        difference = (frame[self.found] - frame[self.expected]).abs()
        return f"largest difference {difference.max():g}" if len(frame) else "nothing to compare"


class ExpectOneValuePerKey(FrameExpectation):
    """All rows of a key carry the same value."""

    by: list[str]
    column: str

    def beyond(self, frame: pd.DataFrame) -> pd.Series:
        first = frame.groupby(self.by)[self.column].transform("first")
        return (frame[self.column] != first).astype(float)


class ExpectNoRepeats(FrameExpectation):
    """No two rows agree in all the columns named."""

    columns: list[str]

    def beyond(self, frame: pd.DataFrame) -> pd.Series:
        return frame.duplicated(self.columns, keep="first").astype(float)


class ExpectStrikesToBeMonotone(FrameExpectation):
    """Within a series of one expiry and right: a call is worth no more at a higher strike, a put no less.

    Columns ``root, right, expiry, strike, price``; the tolerance is in currency per unit.
    """

    tolerance: float

    def beyond(self, frame: pd.DataFrame) -> pd.Series:
        ordered = frame.sort_values(["root", "right", "expiry", "strike"])
        step = ordered.groupby(["root", "right", "expiry"])["price"].diff()
        wrong = np.where(ordered["right"] == "call", step, -step)
        return pd.Series(wrong, ordered.index) - self.tolerance


class ExpectPricesToBeConvexInStrike(FrameExpectation):
    """No butterfly costs less than nothing: a price lies on or below the line between its neighbours in strike."""

    tolerance: float

    def beyond(self, frame: pd.DataFrame) -> pd.Series:
        ordered = frame.sort_values(["root", "right", "expiry", "strike"])
        groups = ordered.groupby(["root", "right", "expiry"])
        low, high = groups["strike"].shift(1), groups["strike"].shift(-1)
        weight = (high - ordered["strike"]) / (high - low)
        line = weight * groups["price"].shift(1) + (1 - weight) * groups["price"].shift(-1)
        return ordered["price"] - line - self.tolerance


class ExpectLaterExpiriesToBeDearer(FrameExpectation):
    """No calendar costs less than nothing: of two expiries at one strike the later is worth no less.

    ``carry`` by row is what a dividend or a rate may take from the later one, in currency per unit.
    """

    tolerance: float
    carry: str

    def beyond(self, frame: pd.DataFrame) -> pd.Series:
        ordered = frame.sort_values(["root", "right", "strike", "expiry"])
        fall = -ordered.groupby(["root", "right", "strike"])["price"].diff()
        return fall - ordered[self.carry] - self.tolerance

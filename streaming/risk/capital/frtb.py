"""Sensitivities-based method of the Basel market-risk standard (MAR21): charges from net sensitivities.

Sensitivities are netted by risk factor first, in exact micros; then weighted and aggregated in float64 currency units.
Within a bucket every pair of names has one correlation per pair of factors (spot and repo, or two maturities), so

    K^2 = sum over factors a, b of  D[a,b] (S[a] S[b] - Q[a,b]) + W[a,b] Q[a,b]

with S the bucket's sums, Q[a,b] the sum over names of the products of their own a and b, W the correlation inside one
name and D between names: exact, and linear in the number of names. Correlations are composed first, then moved to the
low or high scenario. A positive charge is a requirement; each is rounded once to micros when it leaves this module.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from streaming.risk.explained import Explained
from streaming.risk.money import MICRO, checked_sum, round_model
from streaming.risk.rulebook import Rules

SCENARIOS = ("Low", "Medium", "High")
"""Correlation scenarios (MAR21.6), in the order of every first axis below."""

EQUITY_BUCKETS = np.arange(1, 14)
SECTOR_BUCKETS = np.arange(1, 11)
INDEX_BUCKETS = np.array([12, 13])


class EquityFactor(IntEnum):
    """Kind of an equity delta risk factor."""

    SPOT = 0
    REPO = 1


@dataclass(frozen=True, slots=True)
class Net:
    """Net sensitivities: one row per bucket and name, sorted by both; one column per factor of a name."""

    bucket: np.ndarray
    name: np.ndarray
    amount: np.ndarray
    """float64 [rows, factors], currency units, signed."""

    def __len__(self) -> int:
        return len(self.bucket)


@dataclass(frozen=True, slots=True)
class Charge:
    """One measure (delta, vega or curvature) of one risk class, in the three correlation scenarios.

    Arrays have the scenarios as first axis and, but for ``total``, the buckets as second. Currency units, unrounded.
    """

    risk_class: str
    measure: str
    rule: str
    evidence: str
    """The weakest mark (H, then K, then V) of the parameters used."""
    factors: int
    """Net risk factors that entered."""
    bucket: np.ndarray
    position: np.ndarray
    """K_b."""
    net: np.ndarray
    """S_b as it entered the sum across buckets."""
    side: np.ndarray
    """Curvature: +1 where the upward, -1 where the downward shock counts; otherwise 0."""
    alternative: np.ndarray
    """Where the sum was negative and S_b was limited to K_b (MAR21.4(5)(b))."""
    total: np.ndarray

    @property
    def micros(self) -> np.ndarray:
        """The charge in each scenario, rounded once."""
        return round_model(self.total)

    @property
    def binding(self) -> str:
        """The scenario with the largest charge, the first of equals."""
        return SCENARIOS[int(np.argmax(self.micros))]

    def explained(self, scenario: str) -> tuple[Explained, ...]:
        """One line per bucket in ``scenario``, values K_b in micros."""
        s = SCENARIOS.index(scenario)
        return tuple(
            Explained(
                int(round_model(self.position[s, i])),
                self.rule,
                f"{self.risk_class} {self.measure}, bucket {bucket}",
                inputs={
                    "scenario": scenario,
                    "net": int(round_model(self.net[s, i])),
                    "side": int(self.side[s, i]),
                    "evidence": self.evidence,
                },
            )
            for i, bucket in enumerate(self.bucket.tolist())
        )


def net_sensitivities(bucket, name, factor, amount, factors: int) -> Net:
    """Sum sensitivities by (bucket, name, factor); the order of the rows does not matter.

    ``bucket``, ``name`` and ``factor`` are non-negative integer columns, ``factor`` below ``factors``; ``amount`` is
    int64 micros, summed exactly, or float64 currency units, summed in order of value. Raises ValueError where columns
    differ in length or a value is out of range, MoneyOverflowError where a sum could leave the 64-bit range.
    """
    bucket, name, factor = (np.asarray(column, dtype=np.int64) for column in (bucket, name, factor))
    amount = np.asarray(amount)
    if not len(bucket) == len(name) == len(factor) == len(amount):
        raise ValueError(f"sensitivities: columns of {len(bucket)}, {len(name)}, {len(factor)}, {len(amount)} rows")
    if not len(bucket):
        return Net(bucket, name, np.zeros((0, factors)))
    if min(bucket.min(), name.min(), factor.min()) < 0 or factor.max() >= factors:
        raise ValueError(f"sensitivities: expected codes from 0 and factors below {factors}")
    row_key = bucket * (name.max() + 1) + name
    key = row_key * factors + factor
    if amount.dtype.kind == "f":
        if not np.isfinite(amount).all():
            raise ValueError("sensitivities: expected finite amounts")
        order = np.lexsort((amount, key))
    else:
        checked_sum(np.abs(amount), "gross sensitivities")
        order = np.argsort(key, kind="stable")
    key, row_key = key[order], row_key[order]
    starts = np.flatnonzero(np.r_[True, key[1:] != key[:-1]])
    sums = np.add.reduceat(amount[order], starts)
    rows = row_key[starts]
    first = np.flatnonzero(np.r_[True, rows[1:] != rows[:-1]])
    table = np.zeros((len(first), factors))
    table[np.searchsorted(rows[first], rows), factor[order][starts]] = (
        sums if sums.dtype.kind == "f" else sums.astype(np.float64) / MICRO
    )
    source = order[starts[first]]
    return Net(bucket[source], name[source], table)


def scenario_correlations(correlation: np.ndarray, rules: Rules) -> np.ndarray:
    """Correlations in the low, medium and high scenario: a first axis of 3 before the given shape (MAR21.6)."""
    rho = np.asarray(correlation, dtype=np.float64)
    slope, floor, factor = (
        float(rules.value(f"frtb.scenario.{name}")) for name in ("low_slope", "low_floor", "high_factor")
    )
    low = np.maximum(slope * rho - (slope - 1), floor * rho)
    return np.stack([low, rho, np.minimum(factor * rho, 1.0)])


def equity_delta(net: Net, rules: Rules) -> Charge:
    """Equity delta charge of net spot and repo sensitivities (columns :class:`EquityFactor`; MAR21.4, 21.77-80)."""
    weight, rho = _by_bucket(net, "frtb.equity.delta_weight", rules), _by_bucket(net, "frtb.equity.rho", rules)
    divisor, basis = (float(rules.value(f"frtb.equity.{name}")) for name in ("repo_divisor", "rho_basis"))
    across_factors = np.array([[1.0, basis], [basis, 1.0]])
    return linear_charge(
        net,
        weight[:, None] / np.array([1.0, divisor]),
        within=np.broadcast_to(across_factors, (len(rho), 2, 2)),
        between=rho[:, None, None] * across_factors,
        gamma=_equity_gamma(net, rules),
        labels=("equity", "delta", "MAR21.4, MAR21.77-80"),
        rules=rules,
        absolute=_other_bucket(net, rules),
    )


def equity_vega(net: Net, rules: Rules) -> Charge:
    """Equity vega charge; one column per option maturity of ``frtb.vega.tenors`` (MAR21.4, 21.92-95)."""
    horizon, rho = _by_bucket(net, "frtb.equity.vega_horizon", rules), _by_bucket(net, "frtb.equity.rho", rules)
    base, unscaled = float(rules.value("frtb.vega.base_horizon")), float(rules.value("frtb.vega.weight"))
    weight = np.minimum(unscaled * np.sqrt(horizon / base), 1.0)
    maturity = maturity_correlations(rules)
    return linear_charge(
        net,
        np.repeat(weight[:, None], len(maturity), axis=1),
        within=np.broadcast_to(maturity, (len(rho), *maturity.shape)),
        between=np.minimum(rho[:, None, None] * maturity, 1.0),
        gamma=_equity_gamma(net, rules),
        labels=("equity", "vega", "MAR21.4, MAR21.92-95"),
        rules=rules,
        absolute=_other_bucket(net, rules),
    )


def equity_curvature(net: Net, rules: Rules) -> Charge:
    """Equity curvature charge of net CVR: column 0 the upward, 1 the downward shock, positive = loss (MAR21.5).

    Two negative CVR do not diversify (psi = 0): the pairs of negatives are taken out of the constant-correlation sum
    as a block, which is exact. A negative sum across buckets counts as zero (MAR21.5(4) has no alternative S_b).
    """
    buckets, starts = _segments(net)
    power = float(rules.value("frtb.curvature.correlation_power"))
    rho = scenario_correlations(_by_bucket(net, "frtb.equity.rho", rules) ** power, rules)[:, :, None]
    cvr = net.amount
    loss, gain = np.maximum(cvr, 0.0), np.minimum(cvr, 0.0)
    sums, squares = _reduce(cvr, starts), _reduce(cvr * cvr, starts)
    gains, gain_squares = _reduce(gain, starts), _reduce(gain * gain, starts)
    pairs = (sums * sums - squares) - (gains * gains - gain_squares)
    sides = np.sqrt(np.maximum(_reduce(loss * loss, starts) + rho * pairs, 0.0))
    other = _other_bucket(net, rules)
    sides[:, other] = _reduce(loss, starts)[other]
    up, down = sides[:, :, 0], sides[:, :, 1]
    upward = (up > down) | ((up == down) & (sums[:, 0] > sums[:, 1]))
    position, chosen = np.where(upward, up, down), np.where(upward, sums[:, 0], sums[:, 1])
    gamma = scenario_correlations(_equity_gamma(net, rules) ** power, rules)
    counted = ~((chosen[:, :, None] < 0) & (chosen[:, None, :] < 0))
    total = np.sqrt(np.maximum(_quadratic(position, chosen, gamma * counted), 0.0))
    return Charge(
        "equity",
        "curvature",
        "MAR21.5, MAR21.98-101",
        _weakest("frtb.equity", rules),
        len(net),
        buckets,
        position,
        chosen,
        np.where(upward, 1, -1),
        np.zeros(len(SCENARIOS), dtype=bool),
        total,
    )


def linear_charge(
    net: Net,
    weight: np.ndarray,
    *,
    within: np.ndarray,
    between: np.ndarray,
    gamma: np.ndarray,
    labels: tuple[str, str, str],
    rules: Rules,
    absolute: np.ndarray | None = None,
) -> Charge:
    """Delta or vega charge of any risk class (MAR21.4).

    ``weight`` [buckets, factors]; ``within`` and ``between`` [buckets, factors, factors]: correlations of two factors
    of one name and of two names; ``gamma`` [buckets, buckets] with a zero diagonal; ``labels`` risk class, measure and
    rule; ``absolute`` marks buckets without diversification. All before the correlation scenario.
    """
    buckets, starts = _segments(net)
    which = np.searchsorted(buckets, net.bucket)
    weighted = net.amount * weight[which]
    factors = weighted.shape[1]
    sums = _reduce(weighted, starts)
    own = np.empty((len(buckets), factors, factors))
    for a in range(factors):
        for b in range(a + 1):
            own[:, a, b] = own[:, b, a] = _reduce(weighted[:, a] * weighted[:, b], starts)
    cross = sums[:, :, None] * sums[:, None, :] - own
    square = (scenario_correlations(between, rules) * cross + scenario_correlations(within, rules) * own).sum((2, 3))
    position = np.sqrt(np.maximum(square, 0.0))
    if absolute is not None:
        position[:, absolute] = _reduce(np.abs(weighted), starts).sum(1)[absolute]
    bucket_sum = np.repeat(sums.sum(1)[None, :], len(SCENARIOS), axis=0)
    total, used, alternative = _across_buckets(position, bucket_sum, scenario_correlations(gamma, rules))
    risk_class, measure, rule = labels
    side = np.zeros(position.shape, dtype=np.int64)
    evidence = _weakest(f"frtb.{risk_class}", rules)
    count = int(np.count_nonzero(net.amount))
    return Charge(risk_class, measure, rule, evidence, count, buckets, position, used, side, alternative, total)


def maturity_correlations(rules: Rules) -> np.ndarray:
    """Correlation of two option maturities: exp(-decay |T1 - T2| / min(T1, T2)), [tenors, tenors] (MAR21.94)."""
    return tenor_correlations("frtb.vega.tenors", "frtb.vega.decay", rules)


def tenor_correlations(tenors: str, decay: str, rules: Rules) -> np.ndarray:
    """exp(-decay |T1 - T2| / min(T1, T2)) of the tenors and the decay with these rulebook ids."""
    years = np.array([float(value) for value in rules.values(tenors)])
    apart, shorter = np.abs(years[:, None] - years[None, :]), np.minimum(years[:, None], years[None, :])
    return np.exp(-float(rules.value(decay)) * apart / shorter)


def allocate_tenor(years: np.ndarray, amount: np.ndarray, tenors: str, rules: Rules) -> tuple[np.ndarray, np.ndarray]:
    """Split amounts over the two neighbouring tenors of a rulebook list, linearly in time (MAR21.13, MAR21.26).

    Returns tenor numbers and amounts, both [rows, 2]; the two parts of an int64 amount add up exactly. Beyond the
    first or last tenor everything goes to that one, so vega of an option of one month is placed at half a year.
    """
    grid = np.array([float(value) for value in rules.values(tenors)])
    years = np.clip(np.asarray(years, dtype=np.float64), grid[0], grid[-1])
    lower = np.clip(np.searchsorted(grid, years, side="right") - 1, 0, len(grid) - 2)
    share = (years - grid[lower]) / (grid[lower + 1] - grid[lower])
    amount = np.asarray(amount)
    upper = amount * share
    if amount.dtype.kind == "i":
        upper = np.rint(upper).astype(np.int64)
    return np.stack([lower, lower + 1], axis=1), np.stack([amount - upper, upper], axis=1)


def _across_buckets(position: np.ndarray, net: np.ndarray, gamma: np.ndarray) -> tuple:
    """sqrt(sum K^2 + sum gamma S S), with the alternative S_b in the scenarios where that sum is negative."""
    square = _quadratic(position, net, gamma)
    alternative = square < 0
    used = np.where(alternative[:, None], np.clip(net, -position, position), net)
    square = np.where(alternative, _quadratic(position, used, gamma), square)
    return np.sqrt(np.maximum(square, 0.0)), used, alternative


def _quadratic(position: np.ndarray, net: np.ndarray, gamma: np.ndarray) -> np.ndarray:
    return (position * position).sum(1) + (gamma * net[:, :, None] * net[:, None, :]).sum((1, 2))


def _segments(net: Net) -> tuple[np.ndarray, np.ndarray]:
    """The buckets present and where each begins among the sorted rows."""
    starts = np.flatnonzero(np.r_[True, net.bucket[1:] != net.bucket[:-1]]) if len(net) else np.zeros(0, dtype=np.int64)
    return net.bucket[starts], starts


def _reduce(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Sums of the rows of each segment."""
    return np.add.reduceat(values, starts, axis=0) if len(starts) else np.zeros((0, *values.shape[1:]))


def _by_bucket(net: Net, parameter: str, rules: Rules) -> np.ndarray:
    """An equity list parameter at the buckets present."""
    buckets, _ = _segments(net)
    unknown = np.setdiff1d(buckets, EQUITY_BUCKETS)
    if len(unknown):
        raise ValueError(f"equity bucket: expected 1 to 13, found {unknown.tolist()}")
    return np.array([float(value) for value in rules.values(parameter)])[buckets - 1]


def _other_bucket(net: Net, rules: Rules) -> np.ndarray:
    return _segments(net)[0] == int(rules.value("frtb.equity.other_bucket"))


def _equity_gamma(net: Net, rules: Rules) -> np.ndarray:
    """Correlations of the equity buckets present, zero on the diagonal (MAR21.80)."""
    buckets, _ = _segments(net)
    sector, index = np.isin(buckets, SECTOR_BUCKETS), np.isin(buckets, INDEX_BUCKETS)
    gamma = np.full((len(buckets), len(buckets)), float(rules.value("frtb.equity.gamma_other")))
    gamma[np.ix_(sector, sector)] = float(rules.value("frtb.equity.gamma_sector"))
    gamma[np.ix_(index, index)] = float(rules.value("frtb.equity.gamma_index"))
    for rows, columns in ((sector, index), (index, sector)):
        gamma[np.ix_(rows, columns)] = float(rules.value("frtb.equity.gamma_index_sector"))
    np.fill_diagonal(gamma, 0.0)
    return gamma


def _weakest(prefix: str, rules: Rules) -> str:
    """The weakest evidence mark among the parameters of a risk class in force."""
    ids = {parameter.id for parameter in rules.rulebook.parameters if parameter.id.startswith(prefix + ".")}
    return min(rules.parameter(item).evidence for item in ids)  # H before K before V

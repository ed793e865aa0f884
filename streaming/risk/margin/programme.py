"""Small pure integer programmes, solved exactly: maximise ``c x`` with ``A x <= b``, x whole and >= 0.

Every programme here has whole A and b >= 0, so doing nothing (x = 0) is allowed and the simplex method starts there.
The linear optimum is tightened by a few rounds of Gomory's mixed-integer cuts (Gomory 1960; Balas, Ceria, Cornuejols,
Natraj 1996), then branch and bound over a dense tableau: a node is left only when its linear bound cannot beat the best
whole solution found, which is the proof of optimality. A solution is checked against A and b in whole numbers before it
counts. Pivots follow one fixed order (largest gain, then Bland's rule), so equal inputs give equal solutions. What is
beyond the small tableau, or beyond its node limit, goes to HiGHS with a zero gap.
"""

import numpy as np
from numba import njit
from scipy import optimize

SOLVED, TOO_LARGE = 0, 1

_PIVOT = 1e-9
"""Smallest coefficient to pivot on; the rows are whole numbers, c is scaled to about 1."""
_WHOLE = 1e-6
"""Distance from a whole number that counts as whole."""
_GAIN = 1e-10
"""Improvement of the scaled objective that counts as one."""
_CUT_ROUNDS = 3
_CUT_FRACTION = 0.05
"""A row whose value is nearer than this to a whole number makes no cut: its coefficients would magnify errors."""
_MAX_CELLS = 250_000
_MAX_NODES = 3_000


class UnsolvedError(ArithmeticError):
    """The exact solver did not prove an optimum; the message carries its reason."""


def maximise(A: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """An optimal whole x >= 0; A int64 [rows, n], b int64 [rows] >= 0, c float64 [n] of magnitude about 1."""
    x, status = maximise_small(A, b, c)
    return x if status == SOLVED else maximise_large(A, b, c)


def maximise_large(A: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """The same by HiGHS with a zero gap, for programmes that outgrow the small tableau."""
    found = optimize.milp(
        -c,
        constraints=optimize.LinearConstraint(A, -np.inf, b),
        integrality=np.ones(len(c)),
        bounds=optimize.Bounds(0, np.inf),
        options={"mip_rel_gap": 0.0},
    )
    if found.status != 0:
        raise UnsolvedError(f"integer programme of {len(c)} variables: expected an optimum, found {found.message}")
    x = np.rint(found.x).astype(np.int64)
    if (x < 0).any() or (A @ x > b).any():
        raise UnsolvedError(f"integer programme of {len(c)} variables: the optimum found is not a whole solution")
    return x


@njit(cache=True)
def maximise_small(A, b, c):
    """Cuts, then branch and bound in a dense tableau. Returns (x, status); x holds when the status is ``SOLVED``."""
    rows, n = A.shape
    best = np.zeros(n, dtype=np.int64)
    if n == 0:
        return best, SOLVED
    if (rows + 1) * (n + 1) > _MAX_CELLS:
        return best, TOO_LARGE
    # The columns of the tableau are the non-basic variables, its rows the basic ones; the last row is the objective,
    # the last column the values. Labels: below n variables, below n + rows slacks (whole too), above cuts and branches.
    table = np.zeros((rows + 1, n + 1))
    table[:rows, :n] = A
    table[:rows, n] = b
    table[rows, :n] = -c
    basic, free = np.arange(n, n + rows), np.arange(n)
    if not _primal(table, basic, free):
        return best, TOO_LARGE
    for _ in range(_CUT_ROUNDS):
        cut_table, cut_basic = _cut(table, basic, free, n + rows)
        if len(cut_basic) == len(basic):
            break
        if _dual(cut_table, cut_basic, free) < 1:
            return best, TOO_LARGE
        table, basic = _without_slack_cuts(cut_table, cut_basic, n + rows)
    return _branch_and_bound(table, basic, free, A, b, best)


@njit(cache=True)
def _branch_and_bound(table, basic, free, A, b, best):
    n = len(free)
    best_value = 0.0
    tables, basics, frees = [table], [basic], [free]
    nodes = 0
    while len(tables) > 0:
        table, basic, free = tables.pop(), basics.pop(), frees.pop()
        last = len(basic)
        if table[last, n] <= best_value + _GAIN:
            continue
        nodes += 1
        if nodes > _MAX_NODES:
            return best, TOO_LARGE
        row = _fractional_row(table, basic)
        if row < 0:
            best_value = table[last, n]
            best[:] = 0
            for r in range(last):
                if basic[r] < n:
                    best[basic[r]] = np.int64(np.rint(table[r, n]))
            if not _holds(A, b, best):
                return best, TOO_LARGE
            continue
        down, down_basic, down_free = _branch(table, basic, free, row, False)
        up, up_basic, up_free = _branch(table, basic, free, row, True)
        down_state, up_state = _dual(down, down_basic, down_free), _dual(up, up_basic, up_free)
        if down_state < 0 or up_state < 0:
            return best, TOO_LARGE
        up_first = up_state > 0 and (down_state == 0 or up[last + 1, n] > down[last + 1, n])
        if down_state > 0 and up_first:
            tables.append(down)
            basics.append(down_basic)
            frees.append(down_free)
        if up_state > 0:
            tables.append(up)
            basics.append(up_basic)
            frees.append(up_free)
        if down_state > 0 and not up_first:  # the better bound is explored first: it is pushed last
            tables.append(down)
            basics.append(down_basic)
            frees.append(down_free)
    return best, SOLVED


@njit(cache=True)
def _holds(A, b, x):
    """True when the whole numbers x satisfy ``A x <= b`` and x >= 0 exactly."""
    for i in range(len(b)):
        total = np.int64(0)
        for j in range(len(x)):
            total += A[i, j] * x[j]
        if total > b[i]:
            return False
    return x.min() >= 0


@njit(cache=True)
def _fractional_row(table, basic):
    """Row of the variable that is farthest from a whole number, the first of several; -1 when all are whole."""
    n = table.shape[1] - 1
    found, distance = -1, _WHOLE
    for r in range(len(basic)):
        away = abs(table[r, n] - np.rint(table[r, n]))
        if basic[r] < n and away > distance:
            found, distance = r, away
    return found


@njit(cache=True)
def _cut(table, basic, free, whole_labels):
    """The tableau with Gomory's mixed-integer cut of every row whose whole variable is not; unchanged when none."""
    last, n = len(basic), len(free)
    chosen = np.empty(last, dtype=np.int64)
    count = 0
    for r in range(last):
        fraction = table[r, n] - np.floor(table[r, n])
        if basic[r] < whole_labels and _CUT_FRACTION < fraction < 1.0 - _CUT_FRACTION:
            chosen[count] = r
            count += 1
    cut = np.empty((last + count + 1, n + 1))
    cut[:last] = table[:last]
    cut[last + count] = table[last]
    for k in range(count):
        r = chosen[k]
        part = table[r, n] - np.floor(table[r, n])
        for j in range(n):
            a = table[r, j]
            if free[j] < whole_labels:
                fraction = a - np.floor(a)
                if fraction < _PIVOT or fraction > 1.0 - _PIVOT:
                    weight = 0.0
                else:
                    weight = fraction if fraction <= part else part * (1.0 - fraction) / (1.0 - part)
            else:
                weight = a if a > 0.0 else -a * part / (1.0 - part)
            cut[last + k, j] = -weight
        cut[last + k, n] = -part
    cut_basic = np.empty(last + count, dtype=np.int64)
    cut_basic[:last] = basic
    used = max(basic.max(), free.max(), whole_labels - 1)
    cut_basic[last:] = np.arange(used + 1, used + 1 + count)
    return cut, cut_basic


@njit(cache=True)
def _without_slack_cuts(table, basic, whole_labels):
    """The tableau without the cuts that do not bind: their slack is basic, so their row says nothing more."""
    last = len(basic)
    keep = np.flatnonzero(basic < whole_labels)
    smaller = np.empty((len(keep) + 1, table.shape[1]))
    for k in range(len(keep)):
        smaller[k] = table[keep[k]]
    smaller[len(keep)] = table[last]
    return smaller, basic[keep]


@njit(cache=True)
def _branch(table, basic, free, row, upwards):
    """The tableau with one more row: the variable of ``row`` at least its ceiling, or at most its floor."""
    last, n = len(basic), len(free)
    floor = np.floor(table[row, n])
    child = np.empty((last + 2, n + 1))
    child[:last] = table[:last]
    child[last + 1] = table[last]
    if upwards:
        child[last, :n] = table[row, :n]
        child[last, n] = table[row, n] - floor - 1.0
    else:
        child[last, :n] = -table[row, :n]
        child[last, n] = floor - table[row, n]
    child_basic = np.empty(last + 1, dtype=np.int64)
    child_basic[:last] = basic
    child_basic[last] = max(basic.max(), free.max()) + 1
    return child, child_basic, free.copy()


@njit(cache=True)
def _pivot(table, basic, free, row, column):
    """Exchange the basic variable of ``row`` with the free one of ``column``."""
    rows, columns = table.shape
    scale = 1.0 / table[row, column]
    for j in range(columns):
        table[row, j] *= scale
    table[row, column] = scale
    for i in range(rows):
        factor = table[i, column]
        if i != row and factor != 0.0:
            for j in range(columns):
                if j != column:
                    table[i, j] -= factor * table[row, j]
            table[i, column] = -factor * scale
    basic[row], free[column] = free[column], basic[row]


@njit(cache=True)
def _primal(table, basic, free):
    """Primal simplex from a feasible tableau to the linear optimum; False when it does not end in bounded steps."""
    last, n = len(basic), len(free)
    patience = 10 * (last + n)
    for step in range(20 * patience):
        column = -1
        for j in range(n):
            if table[last, j] < -_PIVOT:
                if column < 0:
                    column = j
                elif step < patience:
                    if table[last, j] < table[last, column]:
                        column = j
                elif free[j] < free[column]:  # Bland's rule: cannot cycle
                    column = j
        if column < 0:
            return True
        row = -1
        ratio = np.inf
        for i in range(last):
            if table[i, column] > _PIVOT:
                quotient = table[i, n] / table[i, column]
                if quotient < ratio - _PIVOT or (quotient <= ratio + _PIVOT and basic[i] < basic[row]):
                    row, ratio = i, min(quotient, ratio)
        if row < 0:
            return False
        _pivot(table, basic, free, row, column)
    return False


@njit(cache=True)
def _dual(table, basic, free):
    """Dual simplex after new rows: 1 optimal, 0 infeasible, -1 when it does not end in bounded steps."""
    last, n = len(basic), len(free)
    for _ in range(100 * (last + n)):
        row = -1
        for i in range(last):
            if table[i, n] < -_PIVOT and (row < 0 or basic[i] < basic[row]):
                row = i
        if row < 0:
            return 1
        column = -1
        ratio = np.inf
        for j in range(n):
            if table[row, j] < -_PIVOT:
                quotient = table[last, j] / -table[row, j]
                if quotient < ratio - _PIVOT or (quotient <= ratio + _PIVOT and free[j] < free[column]):
                    column, ratio = j, min(quotient, ratio)
        if column < 0:
            return 0
        _pivot(table, basic, free, row, column)
    return -1

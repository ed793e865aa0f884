"""Small integer programmes, solved exactly: maximise ``c x`` with ``A x <= b``, x >= 0, some of x whole.

Every programme here has b >= 0, so doing nothing (x = 0) is allowed and the simplex method starts there. Branch and
bound over a dense tableau: a node is left only when its linear bound cannot beat the best whole solution found, which
is the proof of optimality. Pivots follow one fixed order (largest gain, then Bland's rule), so equal inputs give equal
solutions. Programmes beyond the small tableau go to HiGHS with a zero gap.
"""

import numpy as np
from numba import njit
from scipy import optimize

SOLVED, TOO_LARGE = 0, 1

_PIVOT = 1e-9
"""Smallest coefficient to pivot on, relative to rows scaled to about 1."""
_WHOLE = 1e-6
"""Distance from a whole number that counts as whole."""
_GAIN = 1e-12
"""Improvement, relative to the objective's bound, that counts as an improvement."""
_MAX_CELLS = 60_000
_MAX_NODES = 2_000
_MAX_DEPTH = 64


class UnsolvedError(ArithmeticError):
    """The exact solver did not prove an optimum; the message carries its reason."""


def maximise(A: np.ndarray, b: np.ndarray, c: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """An optimal x, whole where ``whole``; float64 arrays of shapes (rows, n), (rows,), (n,), (n,)."""
    x, status = maximise_small(A, b, c, whole)
    return x if status == SOLVED else maximise_large(A, b, c, whole)


def maximise_large(A: np.ndarray, b: np.ndarray, c: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """The same by HiGHS with a zero gap, for programmes that outgrow the small tableau."""
    found = optimize.milp(
        -c,
        constraints=optimize.LinearConstraint(A, -np.inf, b),
        integrality=whole.astype(np.int64),
        bounds=optimize.Bounds(0, np.inf),
        options={"mip_rel_gap": 0.0},
    )
    if found.status != 0:
        raise UnsolvedError(f"integer programme of {A.shape[1]} variables: {found.message}")
    return np.where(whole, np.rint(found.x), found.x)


@njit(cache=True)
def maximise_small(A, b, c, whole):
    """Branch and bound in a dense tableau. Returns (x, status); x is meaningful when the status is ``SOLVED``."""
    rows, n = A.shape
    best = np.zeros(n)
    if (rows + 1) * (n + 1) > _MAX_CELLS:
        return best, TOO_LARGE
    # The columns of the tableau are the non-basic variables, its rows the basic ones; the last row is the objective,
    # the last column the values. Labels below n are variables, the others slacks.
    table = np.empty((rows + 1, n + 1))
    table[:rows, :n] = A
    table[:rows, n] = b
    table[rows, :n] = -c
    table[rows, n] = 0.0
    basic = np.arange(n, n + rows)
    free = np.arange(n)
    if not _primal(table, basic, free):
        return best, TOO_LARGE
    least_gain = _GAIN * max(1.0, abs(table[rows, n]))
    best_value = 0.0
    tables, basics, frees = [table], [basic], [free]
    nodes = 0
    while len(tables) > 0:
        table, basic, free = tables.pop(), basics.pop(), frees.pop()
        nodes += 1
        if nodes > _MAX_NODES or len(basic) > rows + _MAX_DEPTH:
            return best, TOO_LARGE
        last = len(basic)
        if table[last, n] <= best_value + least_gain:
            continue
        row = _fractional_row(table, basic, whole, n)
        if row < 0:
            best_value = table[last, n]
            best[:] = 0.0
            for r in range(last):
                if basic[r] < n:
                    best[basic[r]] = np.rint(table[r, n]) if whole[basic[r]] else table[r, n]
            continue
        for up in range(2):  # the branch downwards is explored first: it was pushed last
            child, child_basic, child_free = _branch(table, basic, free, row, up == 0)
            state = _dual(child, child_basic, child_free)
            if state < 0:
                return best, TOO_LARGE
            if state > 0 and child[last + 1, n] > best_value + least_gain:
                tables.append(child)
                basics.append(child_basic)
                frees.append(child_free)
    return best, SOLVED


@njit(cache=True)
def _fractional_row(table, basic, whole, n):
    """Row of the whole variable with the lowest label whose value is not whole; -1 when there is none."""
    found, label = -1, n
    for r in range(len(basic)):
        if basic[r] < label and whole[basic[r]] and abs(table[r, n] - np.rint(table[r, n])) > _WHOLE:
            found, label = r, basic[r]
    return found


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
    child_basic[last] = n + last
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
    """Dual simplex after a branch: 1 optimal, 0 infeasible, -1 when it does not end in bounded steps."""
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

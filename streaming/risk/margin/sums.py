"""Exact sums over positions by account and group: the kernels of portfolio and house margin.

All amounts are int64 micros; integer sums make every result independent of the order of rows.
"""

import numpy as np
from numba import njit

from streaming.risk.money import MICRO, fraction_kernel


def sum_by_account(account: np.ndarray, of: np.ndarray, amount: np.ndarray) -> np.ndarray:
    """Exact sums of ``amount`` by the account codes ``of``, in the order of the ascending codes ``account``."""
    total = np.zeros(len(account), dtype=np.int64)
    np.add.at(total, np.searchsorted(account, of), amount)
    return total


@njit(cache=True)
def group_slots(account, group, n_groups):
    """Row to (account, group) slot, and the slots' accounts and groups, sorted. Rows come in ascending accounts."""
    n = len(account)
    owner, at = np.full(n_groups, -1, np.int64), np.empty(n_groups, np.int64)
    slot, segment, first = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.int64)
    slots = segments = 0
    slot_account, slot_group, in_group = np.empty(n, np.int64), np.empty(n, np.int64), np.zeros(n_groups + 1, np.int64)
    for i in range(n):
        if owner[group[i]] != account[i]:
            owner[group[i]], at[group[i]] = account[i], slots
            if slots == 0 or slot_account[slots - 1] != account[i]:
                first[segments] = slots
                segments += 1
            slot_account[slots], slot_group[slots], segment[slots] = account[i], group[i], segments - 1
            in_group[group[i] + 1] += 1
            slots += 1
        slot[i] = at[group[i]]
    # Accounts ascend already: a counting sort by group, dealt out to the accounts, sorts the slots in linear time.
    start, by_group, rank = np.cumsum(in_group), np.empty(slots, np.int64), np.empty(slots, np.int64)
    for s in range(slots):
        by_group[start[slot_group[s]]] = s
        start[slot_group[s]] += 1
    sorted_group = np.empty(slots, np.int64)
    for k in range(slots):
        s = by_group[k]
        rank[s] = first[segment[s]]
        sorted_group[rank[s]] = slot_group[s]
        first[segment[s]] += 1
    return rank[slot], slot_account[:slots], sorted_group


@njit(cache=True)
def position_sums(code, quantity, fx, unit, minimum, slot, n_slots):
    """Sums over the positions of each slot: P&L by point, minimum, count, and a float bound for the overflow check."""
    points = unit.shape[1]
    pnl, least = np.zeros((n_slots, points), np.int64), np.zeros(n_slots, np.int64)
    count, gross = np.zeros(n_slots, np.int64), np.zeros(n_slots, np.float64)
    for i in range(len(code)):
        s, c, q = slot[i], code[i], quantity[i]
        largest = 0.0
        for k in range(points):
            amount = q * unit[c, k]
            if fx[c] != MICRO:
                amount = fraction_kernel(amount, fx[c])
            pnl[s, k] += amount
            largest = max(largest, abs(float(q) * float(unit[c, k])) * (fx[c] / MICRO))
        least[s] += minimum[i]
        count[s] += 1
        gross[s] += largest + float(minimum[i])
    return pnl, least, count, gross


@njit(cache=True)
def offset_by_parent(pnl, parent, share):
    """[parents, points]: share x sum of gains - sum of losses over the children, point by point."""
    n, points = pnl.shape
    gain, loss = np.zeros((len(share), points), np.int64), np.zeros((len(share), points), np.int64)
    for i in range(n):
        for k in range(points):
            if pnl[i, k] > 0:
                gain[parent[i], k] += pnl[i, k]
            else:
                loss[parent[i], k] -= pnl[i, k]
    for p in range(len(share)):
        for k in range(points):
            # What stands alone counts in full: most groups, and no division for them.
            counted = gain[p, k] if share[p] == MICRO else fraction_kernel(gain[p, k], share[p])
            gain[p, k] = counted - loss[p, k]
    return gain


@njit(cache=True)
def sum_by_parent(parent, minimum, count, n):
    """Sums of the children's minimums and counts."""
    least, members = np.zeros(n, np.int64), np.zeros(n, np.int64)
    for i in range(len(parent)):
        least[parent[i]] += minimum[i]
        members[parent[i]] += count[i]
    return least, members

"""What clients could not pay: the firm's loss when their stressed net liquidating value is negative."""

from dataclasses import dataclass

import numpy as np

TOP = 5
"""Clients named beside the largest one (stress testing, section 3: top client, top five, total)."""


@dataclass(frozen=True, slots=True)
class Shortfall:
    """Client shortfalls in micros; ties between clients go to the lower client number."""

    client: np.ndarray
    """[client, scenario]: max(0, -(stressed net liquidating value))."""
    total: np.ndarray
    """[scenario]"""
    largest: np.ndarray
    """[scenario]: the largest-client default."""
    largest_client: np.ndarray
    """[scenario]: its client number, -1 where no client falls short."""
    top: np.ndarray
    """[scenario, 5] client numbers, largest first, -1 where fewer fall short."""
    top_sum: np.ndarray
    """[scenario]: shortfall of the top five together."""


def client_shortfall(net_value: np.ndarray, loss: np.ndarray, extra: np.ndarray | None = None) -> Shortfall:
    """From net liquidating value (micros by client, before stress) and losses [client, scenario].

    ``extra`` is a further cost by client in every scenario: the charge on unpriced positions, or what it costs to
    liquidate the collateral.
    """
    after = net_value[:, None] - loss - (0 if extra is None else extra[:, None])
    short = np.maximum(0, -after)
    order = np.argsort(-short, axis=0, kind="stable")[:TOP]
    amounts = np.take_along_axis(short, order, axis=0)
    top = np.full((short.shape[1], TOP), -1, dtype=np.int64)
    top[:, : len(order)] = np.where(amounts > 0, order, -1).T
    largest = short.max(axis=0, initial=0)
    return Shortfall(short, short.sum(axis=0), largest, top[:, 0], top, amounts.sum(axis=0))

"""What each stress scenario does to the firm: its own loss, and what its clients could not pay."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from streaming.apps.firm_inputs import Ids, codes
from streaming.apps.tables import build
from streaming.engine.canonical import decimal_to_int64
from streaming.risk.reference import AccountKind, Accounts
from streaming.risk.scenarios import shipped
from streaming.risk.stress.shortfall import client_shortfall
from streaming.schema import sealed


def stress_table(stress: Sequence[pa.Table], accounts: Accounts, ids: Ids, net_capital: int) -> pa.Table:
    """``stress_firm`` from the accounts' losses: shortfalls are by client, all of whose accounts stand for one another.

    The firm's own accounts have no shortfall: their loss is the firm's. Net capital (micros, at the cut) falls by that
    loss and by the shortfalls, which are unsecured debits; haircuts stay those of the cut.
    """
    if not stress:
        return sealed.STRESS_FIRM.arrow.empty_table()
    rows = pa.concat_tables(stress)
    account = codes(rows["account"], ids.accounts)
    names, scenario = np.unique(rows["scenario"].to_numpy(zero_copy_only=False).astype(str), return_inverse=True)
    loss, after = decimal_to_int64(rows["loss"]), decimal_to_int64(rows["equity_after"])
    house = accounts.kind[account] == AccountKind.HOUSE
    owners, client = np.unique(accounts.client[account].astype(str), return_inverse=True)
    short = np.zeros((len(owners), len(names)), np.int64)
    np.add.at(short, (client[~house], scenario[~house]), after[~house])
    found = client_shortfall(np.zeros(len(owners), np.int64), -short)
    largest = pa.array([owners[i] if i >= 0 else "" for i in found.largest_client.tolist()], pa.string())
    known = {item.id: (item.name, item.family) for item in shipped.load().scenarios}
    shown = [known.get(name, (name, "")) for name in names.tolist()]
    house_loss = _by_scenario(scenario[house], loss[house], len(names))
    columns = {
        "scenario": pa.array(names.tolist(), pa.string()),
        "name": pa.array([title for title, _ in shown], pa.string()),
        "family": pa.array([family for _, family in shown], pa.string()),
        "loss": _by_scenario(scenario, loss, len(names)),
        "house_loss": house_loss,
        "client_shortfall": found.total,
        "largest_shortfall": found.largest,
        "largest_client": largest,
        "top_five_shortfall": found.top_sum,
        "clients_short": (found.client > 0).sum(axis=0),
        "net_capital_after": net_capital - house_loss - found.total,
    }
    return build(sealed.STRESS_FIRM, columns)


def _by_scenario(scenario: np.ndarray, amounts: np.ndarray, count: int) -> np.ndarray:
    total = np.zeros(count, np.int64)
    np.add.at(total, scenario, amounts)
    return total

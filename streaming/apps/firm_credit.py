"""Expected credit loss (IFRS 9) at the end of day: by exposure, and the movement from the end of day before."""

import numpy as np
import pyarrow as pa

from streaming.apps.firm_carry import EXPOSURES
from streaming.apps.firm_view import FirmView
from streaming.apps.tables import build
from streaming.engine.canonical import int64_to_decimal
from streaming.risk.capital import ifrs9
from streaming.risk.capital.credit_exposures import margin_loans
from streaming.risk.capital.ifrs9 import LIQUIDITY, STAGES, Allowance, MarginLoans, Trigger
from streaming.risk.holdings import Holdings
from streaming.risk.money import round_model
from streaming.schema import sealed
from streaming.schema.model import RATE

_ONE_DAY = 1


def losses(firm: FirmView) -> tuple[MarginLoans, Allowance]:
    """The exposures of the cut and their expected losses."""
    parts = [book.holdings for book in firm.books]
    everything = Holdings(*(np.concatenate([getattr(p, n) for p in parts]) for n in Holdings.__dataclass_fields__))
    loans = margin_loans(
        firm.part.accounts,
        firm.accounts,
        everything,
        firm.ledger.record,
        firm.ledger.calls,
        firm.instruments,
        firm.ready,
        firm.daily_vol,
        firm.cut.sessions,
        firm.cut.as_of,
        firm.rules,
    )
    return loans, ifrs9.allowances(loans, firm.rules)


def carried(found: Allowance) -> pa.Table:
    """The exposures as the next end of day opens with them."""
    return pa.table([pa.array(found.id.tolist(), pa.string()), found.stage, found.gross, found.loss], schema=EXPOSURES)


def losses_table(loans: MarginLoans, found: Allowance, firm: FirmView) -> pa.Table:
    """``credit_losses``."""
    unknown = np.isnan(loans.daily_volatility)
    volatility = round_model(np.where(unknown, 0.0, loans.daily_volatility))
    columns = {
        "exposure": pa.array(found.id.tolist(), pa.string()),
        "stage": found.stage,
        "trigger": pa.array([Trigger(int(code)).name.lower() for code in found.trigger.tolist()], pa.string()),
        "watch": pa.array(found.watch),
        "collateral": loans.collateral,
        "annual_pd": round_model(loans.annual_pd),
        "daily_volatility": int64_to_decimal(volatility, RATE, unknown),
        "liquidity": pa.array([LIQUIDITY[int(code)] for code in loans.liquidity.tolist()], pa.string()),
        "concentrated": pa.array(loans.concentrated),
        "call_age": loans.call_age,
        "interest": ifrs9.interest_revenue(found, loans.effective_rate, _ONE_DAY, firm.rules),
    }
    amounts = ("gross", "loss", "twelve_month", "lifetime_contractual", "lifetime_behavioural", "expedient")
    return build(sealed.CREDIT_LOSSES, columns | {name: getattr(found, name) for name in amounts})


def movement_table(opening: pa.Table, closing: Allowance) -> pa.Table:
    """``credit_movement``: exposures (gross) and losses by stage, from ``EXPOSURES`` rows to this end of day."""
    before = _allowance(opening)
    exposures = ifrs9.by_stage(closing)["exposures"]
    parts = []
    for measure in ("gross", "loss"):
        moved = ifrs9.movement(before, closing, measure)
        columns = {
            "measure": pa.array([measure] * len(STAGES), pa.string()),
            "stage": np.array(STAGES),
            "exposures": exposures,
            "transfers_in": moved.transfers.sum(axis=0),
            "transfers_out": moved.transfers.sum(axis=1),
        }
        names = ("opening", "new", "derecognised", "remeasured", "closing")
        parts.append(build(sealed.CREDIT_MOVEMENT, columns | {name: getattr(moved, name) for name in names}))
    return pa.concat_tables(parts)


def _allowance(rows: pa.Table) -> Allowance:
    """Carried exposures as an allowance; what a movement does not read is zero."""
    stage, gross, loss = (rows[name].to_numpy() for name in ("stage", "gross", "loss"))
    zero = np.zeros(rows.num_rows, np.int64)
    id_ = np.array(rows["id"].to_pylist(), object)
    return Allowance(id_, stage, zero, zero.astype(bool), gross, loss, zero, zero, zero, zero)

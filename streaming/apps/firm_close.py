"""The firm's end of day: capital under stress, group view, operations, credit losses, resolution, transactions."""

from dataclasses import dataclass

import pyarrow as pa

from streaming.apps import firm_credit, firm_resolution
from streaming.apps.firm_carry import Carry, closed
from streaming.apps.firm_focus import focus_statements
from streaming.apps.firm_group import group_view, stack_table
from streaming.apps.firm_operations import deficit_rows, operations_view
from streaming.apps.firm_reverse import reverse_table
from streaming.apps.firm_statements import Statement
from streaming.apps.firm_stressed import capital_table, stressed_states
from streaming.apps.firm_transactions import transaction_tables
from streaming.apps.firm_view import FirmView
from streaming.schema import sealed

TABLES = (
    sealed.STRESS_CAPITAL,
    sealed.REVERSE_STRESS,
    sealed.CAPITAL_STACK,
    sealed.OPEN_ITEMS,
    sealed.POSSESSION,
    sealed.STOCK_LOANS,
    sealed.SECURITY_USE,
    sealed.CREDIT_LOSSES,
    sealed.CREDIT_MOVEMENT,
    sealed.FUNDING_PATH,
    sealed.PORTABILITY,
    sealed.TRANSACTION_REPORTS,
    sealed.TRANSACTION_FAULTS,
)
"""What the end of day seals beside the tables of every cut."""


@dataclass(frozen=True, slots=True)
class EndOfDay:
    """What only the end of day computes."""

    tables: dict[str, pa.Table]
    statements: tuple[Statement, ...]
    """Statements beside those of every cut."""
    carry: Carry


def close(firm: FirmView, carry: Carry) -> EndOfDay:
    """Everything of the end of day; ``carry`` are the open matters at the cut."""
    states = stressed_states(firm)
    group = group_view(firm, states)
    operations = operations_view(firm, carry)
    loans, allowance = firm_credit.losses(firm)
    tables = {
        "stress_capital": capital_table(firm, states),
        "reverse_stress": reverse_table(firm),
        "capital_stack": sealed.CAPITAL_STACK.arrow.empty_table()
        if group is None
        else stack_table(group.stacks, states),
        **operations.tables,
        "credit_losses": firm_credit.losses_table(loans, allowance, firm),
        "credit_movement": firm_credit.movement_table(carry.exposures, allowance),
        "funding_path": firm_resolution.funding_table(firm),
        "portability": firm_resolution.portability_table(firm, operations),
        **transaction_tables(firm),
    }
    statements = (*focus_statements(firm), *operations.statements, *(() if group is None else group.statements))
    reserves = (firm.capital.customer, firm.capital.pab)
    left = closed(
        carry,
        firm.cut.as_of,
        firm.cut.sessions,
        reserves,
        deficit_rows(operations.possession),
        firm_credit.carried(allowance),
    )
    return EndOfDay(tables, statements, left)

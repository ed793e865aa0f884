"""Transaction reports of the day's sealed trades: scope, references, counterparties, faults."""

from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from streaming.apps.firm_inputs import Ids
from streaming.apps.firm_transactions import in_scope, transaction_tables
from streaming.apps.firm_view import FirmView
from streaming.risk.capital.inputs import Cut
from streaming.risk.capital.mifid import lei_is_valid
from streaming.risk.capital.parameters import texts
from streaming.risk.reference import AccountKind, Right
from streaming.risk.rulebook import Override, Rulebook, load
from streaming.schema.sealed import TABLES
from streaming.schema.transactions import TRANSACTION_FIELDS
from tests.unit import capital_books as kit
from tests.unit.report_cuts import table

RULES = load().at(date(2026, 11, 1))
TODAY = kit.day("2020-03-13")
"""A Friday."""
STOCKS = kit.instruments(
    {"id": "AAPL", "isin": "US0378331005"},
    kit.option("AAPL  200417C00100000", Right.CALL, 100, expiry=kit.day("2020-04-17")),
    {"id": "SAP", "isin": "DE0007164600"},
    {"id": "KO", "isin": "US1912161007"},
)
OWNERS = kit.accounts(AccountKind.CUSTOMER, AccountKind.HOUSE)


def firm(*trades: tuple, lei: str = "5493001KJTIIGC8Y1R12", rules=RULES) -> FirmView:
    """Trades as (id, account, instrument, quantity, counterparty[, kind])."""
    OWNERS.lei[0] = lei
    rows = table(
        "trades",
        len(trades),
        id=[t[0] for t in trades],
        account=[OWNERS.id[t[1]] for t in trades],
        instrument=[STOCKS.id[t[2]] for t in trades],
        quantity=[t[3] for t in trades],
        counterparty=[t[4] for t in trades],
        kind=[t[5] if len(t) > 5 else "trade" for t in trades],
        venue="XNAS",
        price=np.full(len(trades), 101_500_000),
        event_time=pa.array([1_584_100_800_123_456] * len(trades), pa.timestamp("us", "UTC")),
    )
    ids = Ids(pa.chunked_array([OWNERS.id.tolist()]), pa.chunked_array([STOCKS.id.tolist()]))
    known = {
        "rules": rules, "instruments": STOCKS, "accounts": OWNERS, "ids": ids, "rows": {"trades": [rows]},
        "cut": Cut(TODAY, kit.weekdays("2020-01-01"), kit.prices(1, 1, 1, 1)),
    }  # fmt: skip
    return FirmView(**{name: known.get(name) for name in FirmView.__dataclass_fields__})


def test_an_instrument_is_in_scope_by_country_by_name_or_by_its_underlying():
    assert in_scope(STOCKS, RULES).tolist() == [True, True, True, False]


def test_trades_in_scope_are_reported_and_the_others_counted():
    found = transaction_tables(firm(("t-1", 0, 0, 100, "BRK01"), ("t-2", 1, 1, -2, "BRK02"), ("t-3", 0, 3, 5, "BRK01")))
    reports = found["transaction_reports"].to_pylist()
    assert [r["f02_transaction_reference_number"] for r in reports] == ["T1", "T2"]
    first, second = reports
    assert first["f07_buyer_identification_code"] == "5493001KJTIIGC8Y1R12"
    assert lei_is_valid(first["f16_seller_identification_code"])
    assert first["f28_trading_date_time"] == "2020-03-13T12:00:00.123456Z"
    assert (first["f33_price"], first["f36_venue"], first["f41_instrument_identification_code"]) == (
        "101.5", "XNAS", "US0378331005",
    )  # fmt: skip
    assert second["f16_seller_identification_code"] == second["f04_executing_entity_identification_code"]
    assert (second["f41_instrument_identification_code"], second["f50_option_type"]) == ("", "CALL")
    (left,) = found["transaction_faults"].to_pylist()
    assert (left["status"], left["reference"], left["trades"]) == (
        "out of scope",
        "instrument outside EU and UK scope",
        1,
    )
    assert left["due"] == "2020-03-16", "Friday's trades are due on Monday"


@pytest.mark.parametrize(
    ("trade", "lei", "field"),
    [
        (("t-1", 0, 0, 1, "NOBODY"), "5493001KJTIIGC8Y1R12", 16),
        (("t-1", 0, 0, 1, "BRK01"), "5493001KJTIIGC8Y1R13", 7),
        (("t-1", 0, 0, -1, "BRK01"), "", 16),
    ],
)
def test_a_trade_with_a_wrong_identifier_is_held_back_and_named(trade, lei, field):
    found = transaction_tables(firm(trade, lei=lei))
    assert found["transaction_reports"].num_rows == 0
    (fault,) = found["transaction_faults"].to_pylist()
    assert (fault["status"], fault["reference"], fault["field"]) == ("held back", "T1", field)
    assert fault["expected"] == "an LEI with valid check digits"


def test_exercises_and_assignments_are_no_transactions():
    found = transaction_tables(firm(("t-1", 0, 1, 1, "", "exercise")))
    assert found["transaction_reports"].num_rows == found["transaction_faults"].num_rows == 0


def test_a_firm_without_an_entity_in_the_eu_or_uk_reports_nothing():
    book = load()
    none = Override("mifid.entity", {"lei": "", "country": ""}, None, None, date(2018, 1, 3), None, "US firm")
    found = transaction_tables(
        firm(("t-1", 0, 0, 100, "BRK01"), rules=Rulebook(book.parameters, [none]).at(date(2026, 11, 1)))
    )
    assert all(rows.num_rows == 0 for rows in found.values())


def test_the_columns_are_the_65_fields_of_the_rulebook_in_their_order():
    names = texts("mifid.rts22.fields", RULES)
    assert len(TRANSACTION_FIELDS) == len(names) == 65
    assert tuple(column.name for column in TABLES["transaction_reports"].columns) == TRANSACTION_FIELDS
    for number, (column, name) in enumerate(zip(TRANSACTION_FIELDS, names, strict=True), 1):
        words = "".join(c if c.isalnum() else " " for c in name.lower()).split()
        assert column == f"f{number:02}_{'_'.join(words)}"

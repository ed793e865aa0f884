"""Capital and reconciliation: the books agree with each other, and no line of a statement is missing."""

import pandas as pd

from expectations.check import CRITICAL, FINANCE, MARGIN, STOCK_RECORD, WARNING, Check, Suite
from expectations.thresholds import threshold
from expectations.view import View

_CHANGE, _LEAST = threshold("capital", "figure_change_max"), threshold("capital", "figure_change_min")
_RECONCILIATIONS = (
    ("stock_record", "Long is short by security: accounts, street and locations balance.", STOCK_RECORD,
     "Compare the depository's position with the record; a break is booked to difference, with its age."),
    ("option_clearing", "What accounts hold of a series is what the clearing house holds.", STOCK_RECORD,
     "Compare with the clearing house's report."),
    ("cash_to_ledger", "Clients' cash is what the ledger owes them.", FINANCE,
     "Find the entry that one side lacks; compare the opening balances first."),
    ("trading_cash", "The day's cash of trading is the same from events and from positions.", STOCK_RECORD,
     "Replay the day."),
    ("ledger_sign", "No ledger item is negative in the sense of its line.", FINANCE, "Correct the ledger event."),
    ("client_quantity_to_firm", "The firm's quantities are the sums of its accounts'.", FINANCE, "Replay the firm."),
    ("client_cash_to_firm", "The firm's cash is the sum of its accounts'.", FINANCE, "Replay the firm."),
    ("market_value_to_price_set", "Market values are quantity times multiplier times the one price.", FINANCE,
     "Seal the cut again: it mixes price sets."),
    ("margin_lines_to_account", "Margin lines add up to their accounts.", MARGIN, "Replay the account."),
)  # fmt: skip
_BEFORE = "before stress"
_STATEMENTS = ["net_capital", "requirement_alternative", "requirement_basic", "reserve_customer"]


def _checks(view: View) -> pd.DataFrame:
    checks = view.frame("checks")
    checks["off"] = view.exact("checks", "difference") != 0
    return checks


def _lines(view: View) -> pd.DataFrame:
    lines = view.frame("capital_lines")
    lines["supplied"] = lines["amount"].notna()
    return lines


def _movement(view: View) -> pd.DataFrame:
    """The firm's key figures in dollars beside those of the end of day before."""
    assert view.opening is not None
    now, before = (v.frame("headlines").set_index("name") for v in (view, view.opening))
    frame = now[now["unit"] == "USD"][["label", "value"]].join(before["value"].rename("before"), how="inner")
    change = (frame["value"] - frame["before"]).abs()
    frame["change"] = (change / frame["before"].abs()).where((change > _LEAST) & (frame["before"] != 0))
    return frame.reset_index()


def _firm(view: View) -> pd.DataFrame:
    """Every scenario: the firm's loss beside the sum of its accounts'."""
    firm = view.frame("stress_firm")
    accounts = view.frame("stress")[["scenario"]]
    accounts["loss"] = view.exact("stress", "loss")
    sums = accounts.groupby("scenario")["loss"].sum()
    added = firm["scenario"].map(sums)
    firm["compared"] = added.notna()
    firm["loss_difference"] = (view.exact("stress_firm", "loss") - added.fillna(0).astype("int64")) / 1e6
    return firm


def _stressed(view: View) -> pd.DataFrame:
    """Every scenario that was run, and the cut itself, beside its capital; grid cells are no scenarios of capital."""
    capital = view.frame("stress_capital").set_index("scenario")
    run = view.frame("scenarios")["scenario"]
    names = [*run[~run.str.startswith("GRID/")], _BEFORE]
    stress = pd.DataFrame({"scenario": names})
    stress["computed"] = stress["scenario"].isin(capital.index)
    net = dict(zip(view.frame("stress_capital")["scenario"], view.exact("stress_capital", "net_capital"), strict=True))
    lines = view.arrow("capital_lines").select(["statement", "code", "amount"]).to_pylist()
    wanted = {"statement": "net_capital", "code": "net_capital"}
    stated = sum(
        int(line["amount"].scaleb(6)) for line in lines if line["amount"] is not None and wanted.items() <= line.items()
    )
    stress["net_capital"] = stress["scenario"].map(net) / 1e6
    stress["off"] = (stress["scenario"] == _BEFORE) & (stress["scenario"].map(net) != stated)
    return stress


RECONCILIATION = Suite(
    "capital.reconciliation",
    "checks",
    "what was reconciled",
    FINANCE,
    _checks,
    (
        Check("complete", "Every reconciliation was carried out.", CRITICAL, FINANCE,
              "A reconciliation over nothing proves nothing: look which input is missing.",
              "ExpectColumnDistinctValuesToContainSet",
              {"column": "check", "value_set": [name for name, *_ in _RECONCILIATIONS]}),
        *(Check(name, text, CRITICAL, owner, step, "ExpectNoRowsWhere",
                {"condition": f"check == '{name}' and off", "worst": "difference"})
          for name, text, owner, step in _RECONCILIATIONS),
    ),
    needs=("checks",),
    applies=lambda view: view.is_end_of_day,
    key=("check", "key", "expected", "found", "difference"),
)  # fmt: skip

LINES = Suite(
    "capital.lines",
    "capital_lines",
    "lines of the firm's statements",
    FINANCE,
    _lines,
    (
        Check("statements", "Net capital, the requirement and the customer reserve are computed.", CRITICAL, FINANCE,
              "Look which input of the firm is missing.", "ExpectColumnDistinctValuesToContainSet",
              {"column": "statement", "value_set": _STATEMENTS}),
        Check("supplied", "Every line of net capital and of the requirement has an amount.", CRITICAL, FINANCE,
              "Send the ledger line: not supplied is not zero.", "ExpectNoRowsWhere",
              {"condition": f"statement in {_STATEMENTS[:3]} and not supplied"}),
        Check("rule", "Every line with an amount names its rule.", WARNING, FINANCE, "Add the paragraph.",
              "ExpectNoRowsWhere", {"condition": "supplied and rule == ''"}),
        Check("evidence", "The evidence of every line is V, K or H.", WARNING, FINANCE, "Add the mark.",
              "ExpectColumnValuesToBeInSet", {"column": "evidence", "value_set": ["V", "K", "H"]}),
    ),
    needs=("capital_lines",),
    applies=lambda view: view.is_end_of_day,
    key=("statement", "line", "code", "label"),
)  # fmt: skip

MOVEMENT = Suite(
    "capital.movement",
    "headlines",
    "the firm's key figures at this end of day and the one before",
    FINANCE,
    _movement,
    (
        Check("explained", f"No key figure moves by more than {_CHANGE:.0%} and {_LEAST:,} USD from one end of day to "
              "the next.", WARNING, FINANCE,
              "Compare the lines of the statement with those of the day before; name the event that moved them.",
              "ExpectNoRowsWhere", {"condition": f"change > {_CHANGE}", "worst": "change"}),
    ),
    needs=("headlines",),
    applies=lambda view: view.is_end_of_day and view.opening is not None and view.opening.has("headlines"),
    key=("name", "value", "before", "change"),
)  # fmt: skip

FIRM = Suite(
    "capital.stress",
    "stress_firm",
    "scenarios of the firm",
    FINANCE,
    _firm,
    (
        Check("sum", "The firm's stress loss is the sum of its accounts', to the micro.", CRITICAL, FINANCE,
              "Replay the firm.", "ExpectNoRowsWhere",
              {"condition": "compared and loss_difference != 0", "worst": "loss_difference"}),
        Check("shortfall", "Client shortfalls are not negative, and the largest is at most their sum.", CRITICAL,
              FINANCE, "Replay the firm.", "ExpectNoRowsWhere",
              {"condition": "client_shortfall < 0 or largest_shortfall > client_shortfall"}),
    ),
    needs=("stress_firm", "stress"),
    key=("scenario",),
)  # fmt: skip

STRESSED = Suite(
    "capital.scenarios",
    "stress_capital",
    "scenarios that the firm's capital is computed under",
    FINANCE,
    _stressed,
    (
        Check("complete", "Net capital is computed under every scenario that was run.", CRITICAL, FINANCE,
              "Replay the firm.", "ExpectNoRowsWhere", {"condition": "not computed"}),
        Check("before", "Before stress it is the net capital of the statement, to the micro.", CRITICAL, FINANCE,
              "Replay the firm.", "ExpectNoRowsWhere", {"condition": "off", "worst": "net_capital"}),
    ),
    needs=("stress_capital", "scenarios", "capital_lines"),
    applies=lambda view: view.is_end_of_day,
    key=("scenario",),
)  # fmt: skip

SUITES = (RECONCILIATION, LINES, MOVEMENT, FIRM, STRESSED)

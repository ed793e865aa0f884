"""Cash: balances are of known accounts and agree wherever they are shown."""

import pandas as pd

from expectations.check import CRITICAL, MARKET_DATA, REFERENCE, STOCK_RECORD, WARNING, Check, Suite
from expectations.view import MICROS, View


def _balances(view: View) -> pd.DataFrame:
    cash = view.frame("cash")
    cash["account_known"] = cash["account"].isin(view.frame("accounts")["id"])
    cash["rated"] = cash["currency"].isin(view.frame("fx")["currency"])
    return cash


def _accounts(view: View) -> pd.DataFrame:
    """Every account: cash converted at the cut's rates beside what exposure and margin show."""
    rates = view.frame("fx").set_index("currency")["rate"]
    cash = view.frame("cash")
    rate = cash["currency"].map(rates)
    charged = cash["amount"].clip(upper=0) * max(rates.max(), 1)  # without a rate: a credit is nothing, a debit in full
    cash["usd"] = (cash["amount"] * rate).where(rate.notna(), charged)
    frame = view.frame("exposure")[["account", "cash"]].rename(columns={"cash": "shown"})
    frame["converted"] = frame["account"].map(cash.groupby("account")["usd"].sum()).fillna(0)
    shown = pd.Series(view.exact("exposure", "cash"), frame["account"])
    margin = pd.Series(view.exact("margin", "cash"), view.frame("margin")["account"]).reindex(shown.index)
    frame["margin_difference"] = (margin - shown).to_numpy() / MICROS
    return frame


BALANCES = Suite(
    "cash.balances",
    "cash",
    "cash by account and currency",
    STOCK_RECORD,
    _balances,
    (
        Check("account_known", "Every balance is of a known account.", CRITICAL, REFERENCE, "Load the account.",
              "ExpectNoRowsWhere", {"condition": "not account_known"}),
        Check("currency", "A currency is three capital letters.", CRITICAL, REFERENCE, "Correct the cash event.",
              "ExpectColumnValuesToMatchRegex", {"column": "currency", "regex": "^[A-Z]{3}$"}),
        Check("once", "An account has one balance in a currency.", CRITICAL, STOCK_RECORD, "Seal the cut again.",
              "ExpectCompoundColumnsToBeUnique", {"column_list": ["account", "currency"]}),
        Check("rated", "Every balance is in a currency with a rate; without one a credit counts as nothing and a debit "
              "at the largest known rate.", WARNING, MARKET_DATA, "Send the rate of the currency.", "ExpectNoRowsWhere",
              {"condition": "amount != 0 and not rated", "worst": "amount"}),
        Check("short_proceeds", "The credit of short sales is not negative.", WARNING, STOCK_RECORD,
              "Compare the opening's short proceeds with the cost of the shorts.", "ExpectColumnValuesToBeBetween",
              {"column": "short_proceeds", "min_value": 0}),
    ),
    key=("account", "currency", "amount"),
)  # fmt: skip

ACCOUNTS = Suite(
    "cash.accounts",
    "exposure",
    "accounts with their cash",
    STOCK_RECORD,
    _accounts,
    (
        Check("converted", "An account's cash in dollars is its balances at the cut's rates.", CRITICAL, STOCK_RECORD,
              "Look for a currency without a rate; replay the account.", "ExpectColumnsToAgree",
              {"expected": "converted", "found": "shown", "absolute": 0.01}),
        Check("margin", "Margin starts from the same cash, to the micro.", CRITICAL, STOCK_RECORD,
              "Replay the account.", "ExpectNoRowsWhere",
              {"condition": "not margin_difference == 0", "worst": "margin_difference"}),
    ),
    key=("account",),
)  # fmt: skip

SUITES = (BALANCES, ACCOUNTS)

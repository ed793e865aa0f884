"""Reference data: instruments and accounts are complete, consistent with their symbols, and their numbers check."""

from string import ascii_uppercase, digits

import pandas as pd

from expectations.check import CRITICAL, MARGIN, REFERENCE, WARNING, Check, Suite
from expectations.view import View

_INSTRUMENT_KINDS = ["stock", "etf", "index", "option", "treasury", "bond", "fund"]
_STANDARD_MULTIPLIER = 100
_STRIKE_UNITS = 1_000
"""A symbol of the Options Clearing Corporation gives the strike in thousandths."""
_LEI_LENGTH, _ISIN_LENGTH = 20, 12


def isin_is_valid(isin: str) -> bool:
    """The check digit of ISO 6166: letters as two digits, every second digit doubled from the right."""
    if len(isin) != _ISIN_LENGTH or not isin[:2].isalpha() or not set(isin) <= set(ascii_uppercase + digits):
        return False
    numbers = "".join(str(int(character, 36)) for character in isin)
    doubled = [int(d) * (2 if place % 2 else 1) for place, d in enumerate(reversed(numbers))]
    return sum(sum(divmod(number, 10)) for number in doubled) % 10 == 0


def lei_is_valid(lei: str) -> bool:
    """The check digits of ISO 17442: letters as two digits, remainder 1 by 97."""
    if len(lei) != _LEI_LENGTH or not set(lei) <= set(ascii_uppercase + digits):
        return False
    return int("".join(str(int(character, 36)) for character in lei)) % 97 == 1


def _instruments(view: View) -> pd.DataFrame:
    """Every instrument beside what its symbol says and who holds it."""
    known = view.frame("instruments").rename(columns={"id": "instrument"})
    known["is_option"] = known["kind"] == "option"
    held = set(view.held.index)
    on_held = set(known.loc[known["instrument"].isin(held), "underlying"])
    known["needed"] = known["instrument"].isin(held | on_held)
    known["underlying_known"] = known["underlying"].isin(known["instrument"])
    symbol = known["instrument"].where(known["is_option"], "")
    known["root"] = symbol.str[:6].str.strip()
    known["adjusted"] = known["root"].str[-1:].str.isdigit()
    says_expiry = "20" + symbol.str[6:8] + "-" + symbol.str[8:10] + "-" + symbol.str[10:12]
    says_strike = pd.to_numeric(symbol.str[13:21], errors="coerce") / _STRIKE_UNITS
    says_right = symbol.str[12:13].map({"C": "call", "P": "put"})
    agrees = (says_expiry == known["expiry"]) & (says_right == known["right"])
    agrees &= (says_strike - known["strike"]).abs() < 1 / _STRIKE_UNITS
    known["symbol_disagrees"] = known["is_option"] & ~agrees
    usual = known.groupby("root")["multiplier"].transform(lambda group: group.mode().iloc[0])
    standard = known["is_option"] & ~known["adjusted"] & (known["multiplier"] != _STANDARD_MULTIPLIER)
    known["odd_multiplier"] = standard | (known["is_option"] & (known["multiplier"] != usual))
    known["bad_isin"] = (known["isin"] != "") & ~known["isin"].map(isin_is_valid)
    repeated = known["isin"].duplicated(keep=False) & (known["isin"] != "")
    known["shared_isin"] = repeated
    optioned = set(known.loc[known["is_option"], "underlying"])
    has_options = known["is_option"] | known["instrument"].isin(optioned)
    known["no_class"] = has_options & (known["underlying_class"] == "none")
    known["missing_terms"] = known["is_option"] & (
        (known["strike"] <= 0) | known["expiry"].isna() | ~known["right"].isin(["call", "put"])
        | ~known["style"].isin(["american", "european"])
    )  # fmt: skip
    return known


def _accounts(view: View) -> pd.DataFrame:
    accounts = view.frame("accounts").rename(columns={"id": "account"})
    accounts["bad_lei"] = (accounts["lei"] != "") & ~accounts["lei"].map(lei_is_valid)
    accounts["houses"] = int((accounts["kind"] == "house").sum())
    positions = set(view.frame("positions").query("quantity != 0")["account"])
    of_client = accounts["account"].isin(positions) & (accounts["kind"] == "customer")
    accounts["bad_country"] = of_client & ~accounts["country"].str.fullmatch("[A-Z]{2}").astype(bool)
    return accounts


_CORRECT = "Send the instrument again, corrected."

INSTRUMENTS = Suite(
    "reference.instruments",
    "instruments",
    "instruments",
    REFERENCE,
    _instruments,
    (
        Check("kind", "An instrument is of a known kind.", CRITICAL, REFERENCE, _CORRECT, "ExpectColumnValuesToBeInSet",
              {"column": "kind", "value_set": _INSTRUMENT_KINDS}),
        Check("once", "An instrument is listed once.", CRITICAL, REFERENCE, "Seal the cut again.",
              "ExpectColumnValuesToBeUnique", {"column": "instrument"}),
        Check("currency", "A currency is three capital letters.", CRITICAL, REFERENCE, _CORRECT,
              "ExpectColumnValuesToMatchRegex", {"column": "currency", "regex": "^[A-Z]{3}$"}),
        Check("multiplier", "A multiplier is positive.", CRITICAL, REFERENCE, _CORRECT, "ExpectColumnValuesToBeBetween",
              {"column": "multiplier", "min_value": 1}),
        Check("multiplier_of_class", "Series of one class have one multiplier: 100, unless the class is adjusted.",
              CRITICAL, REFERENCE, _CORRECT, "ExpectNoRowsWhere",
              {"condition": "odd_multiplier", "worst": "multiplier"}),
        Check("underlying_known", "The underlying of every series is known.", CRITICAL, REFERENCE,
              "Send the underlying.", "ExpectNoRowsWhere", {"condition": "is_option and not underlying_known"}),
        Check("underlying_class", "Whatever has options, and every series, says of which class it is.", CRITICAL,
              MARGIN, "Send it: scan percentages depend on it, and positions are charged in full until then.",
              "ExpectNoRowsWhere", {"condition": "no_class"}),
        Check("option_terms", "Every series has strike, expiry, right and style.", CRITICAL, REFERENCE, _CORRECT,
              "ExpectNoRowsWhere", {"condition": "missing_terms"}),
        Check("symbol", "The symbol of a series says its own expiry, right and strike.", CRITICAL, REFERENCE, _CORRECT,
              "ExpectNoRowsWhere", {"condition": "symbol_disagrees"}),
        Check("isin", "An ISIN has the right check digit.", WARNING, REFERENCE, _CORRECT, "ExpectNoRowsWhere",
              {"condition": "bad_isin"}),
        Check("isin_once", "No two instruments have one ISIN.", WARNING, REFERENCE, _CORRECT, "ExpectNoRowsWhere",
              {"condition": "shared_isin"}),
        Check("volume", "Every share that is held or underlies what is held has an average daily volume.", WARNING,
              MARGIN, "Send it: concentration is charged as if nothing traded until then.", "ExpectNoRowsWhere",
              {"condition": "kind == 'stock' and needed and adv <= 0"}),
        Check("shares_outstanding", "Every held share has shares outstanding and a capitalisation.", WARNING, MARGIN,
              _CORRECT, "ExpectNoRowsWhere",
              {"condition": "kind == 'stock' and needed and (shares_outstanding <= 0 or market_cap <= 0)"}),
        Check("sector", "Every held share has a sector.", WARNING, MARGIN, _CORRECT, "ExpectNoRowsWhere",
              {"condition": "kind == 'stock' and needed and sector == ''"}),
        Check("issuer", "Every held share has an issuer.", WARNING, REFERENCE, _CORRECT, "ExpectNoRowsWhere",
              {"condition": "kind == 'stock' and needed and issuer == ''"}),
    ),
    key=("instrument",),
)  # fmt: skip

ACCOUNTS = Suite(
    "reference.accounts",
    "accounts",
    "accounts",
    REFERENCE,
    _accounts,
    (
        Check("kind", "An account is of a known kind.", CRITICAL, REFERENCE, "Send the account again, corrected.",
              "ExpectColumnValuesToBeInSet",
              {"column": "kind", "value_set": ["customer", "pab", "house", "non_customer"]}),
        Check("margin_type", "An account has a known margin type.", CRITICAL, REFERENCE,
              "Send the account again, corrected.", "ExpectColumnValuesToBeInSet",
              {"column": "margin_type", "value_set": ["cash", "reg_t", "portfolio"]}),
        Check("once", "An account is listed once.", CRITICAL, REFERENCE, "Seal the cut again.",
              "ExpectColumnValuesToBeUnique", {"column": "account"}),
        Check("client", "Every account says who owns it.", CRITICAL, REFERENCE, "Send the account again, corrected.",
              "ExpectColumnValueLengthsToBeBetween", {"column": "client", "min_value": 1}),
        Check("one_house", "There is exactly one house account.", CRITICAL, REFERENCE,
              "The firm's own events go to one account: look at the account master.", "ExpectNoRowsWhere",
              {"condition": "houses != 1"}),
        Check("lei", "An LEI has the right check digits.", WARNING, REFERENCE, "Ask the client; it goes into reports.",
              "ExpectNoRowsWhere", {"condition": "bad_lei"}),
        Check("country", "Every client account that holds something has a country of two letters.", WARNING, REFERENCE,
              "Send the account again, corrected.", "ExpectNoRowsWhere", {"condition": "bad_country"}),
    ),
    key=("account",),
)  # fmt: skip

SUITES = (INSTRUMENTS, ACCOUNTS)

"""The events that come in: one JSON object a message. Unknown fields are ignored, ``null`` means absent.

Amounts, prices and rates are JSON numbers or decimal text with at most six decimals; instants are ISO 8601 with zone
(``2020-03-16T13:30:00.123456Z``), days ISO dates. Every event carries ``schema`` (the topic's version) and
``event_time``, when it happened; event times never order or drop anything.
"""

import pyarrow as pa

from streaming.schema.model import DAY, FLAG, INSTANT, MONEY, RATE, TEXT, WHOLE, Column, Topic

_SCHEMA = Column("schema", WHOLE, text="version of the topic's schema")
_EVENT_TIME = Column("event_time", INSTANT, text="when it happened, at its source")
_ID = Column("id", TEXT, text="business id, unique for five business days; a correct or cancel repeats it")
_VERSION = Column("version", WHOLE, text="1 for the new, +1 for each correct or cancel")
_ACTION = Column("action", TEXT, text="new, correct or cancel")
_ACCOUNT = Column("account", TEXT, text="account id; decides the partition")
_BUSINESS_DATE = Column("business_date", DAY, text="the date it belongs to")


def _optional(name, type_, unit="", text=""):
    return Column(name, type_, unit, text, required=False)


TRADES = Topic(
    "trades",
    sharded=True,
    raw=True,
    key="account",
    text="Executions, and exercises and assignments of options.",
    columns=(
        _SCHEMA,
        _ID,
        _VERSION,
        _ACTION,
        _ACCOUNT,
        Column("instrument", TEXT, text="instrument id"),
        Column("kind", TEXT, text="trade, exercise (quantity of long contracts exercised) or assignment"),
        Column("side", TEXT, text="buy or sell; for exercise sell, for assignment buy (it closes the option)"),
        Column("quantity", WHOLE, "units", "shares, contracts or face value; positive"),
        Column("price", MONEY, "instrument currency per unit", "per share, or premium per unit of underlying"),
        Column("fee", MONEY, "instrument currency", "commission and fees; positive = charged"),
        _EVENT_TIME,
        _BUSINESS_DATE,
        Column("settle_date", DAY, text="contractual settlement"),
        Column("counterparty", TEXT, text="executing broker or venue member id"),
        _optional("venue", TEXT, text="MIC"),
        _optional("currency", TEXT, text="must be the instrument's when given"),
    ),
)

CASH = Topic(
    "cash",
    sharded=True,
    raw=True,
    key="account",
    text="Cash movements of an account other than by trades.",
    columns=(
        _SCHEMA,
        _ID,
        _VERSION,
        _ACTION,
        _ACCOUNT,
        Column("kind", TEXT, text="opening, deposit, withdrawal, interest, fee or transfer"),
        Column("currency", TEXT, text="ISO 4217"),
        Column("amount", MONEY, "currency", "signed: positive = credit to the account"),
        _EVENT_TIME,
        _BUSINESS_DATE,
        Column("settle_date", DAY),
        _optional("short_proceeds", MONEY, "currency", "kind opening: the part that is credit of open short sales"),
    ),
)

CUSTODY = Topic(
    "custody",
    sharded=True,
    raw=True,
    key="account",
    text="Opening positions of accounts, and movements of the stock record (firm-wide ones under the house account).",
    columns=(
        _SCHEMA,
        _ID,
        _VERSION,
        _ACTION,
        _ACCOUNT,
        Column("instrument", TEXT),
        Column(
            "kind",
            TEXT,
            text="opening (a position with its cost), or location (a change of where the firm's securities are)",
        ),
        _optional(
            "location",
            TEXT,
            text="kind location: box, depository, segregated, loaned, borrowed, pledged, fail_to_deliver, "
            "fail_to_receive, transfer, difference, dividend_receivable or suspense",
        ),
        Column(
            "quantity", WHOLE, "units", "signed: long positive. Locations: held or receivable positive, owed negative"
        ),
        _optional(
            "cost",
            MONEY,
            "instrument currency",
            "kind opening: signed cost basis of the quantity; kind location: contract money, positive: cash collateral "
            "of a borrow or loan, price of a fail, bank loan of a pledge",
        ),
        _optional("since", DAY, text="kind location: when a fail, loan or difference arose"),
        _optional("counterparty", TEXT, text="kind location; for an option series the clearing house"),
        _optional(
            "account_kind",
            TEXT,
            text="kind location: for whom, customer, pab, house or non_customer; default customer",
        ),
        _optional(
            "sale",
            TEXT,
            text="fail_to_deliver: none, short, long, market_maker or deemed_owned; default none (treated as short)",
        ),
        _EVENT_TIME,
        _BUSINESS_DATE,
    ),
)

FIRM = Topic(
    "firm",
    sharded=True,
    raw=True,
    key="account",
    text="The firm's balance sheet and financing, under the house account (shard 0).",
    columns=(
        _SCHEMA,
        _ID,
        _VERSION,
        _ACTION,
        _ACCOUNT,
        Column("line", TEXT, text="balance-sheet line, see streaming/risk/capital/inputs.py"),
        Column("currency", TEXT),
        Column(
            "amount",
            MONEY,
            "currency",
            "change of the item, positive in the sense of its line: a loan taken is positive",
        ),
        _optional("reference", TEXT, text="the item's name in the ledger; changes of one item add up; default: id"),
        _optional("account_kind", TEXT, text="for whom: customer, pab, house or non_customer; default house"),
        _optional("secured", MONEY, "currency", "market value of the collateral held against a receivable"),
        _optional(
            "party",
            TEXT,
            text="what the counterparty is: other, broker_dealer, clearing_agency, bank or affiliate; default other",
        ),
        _optional("counterparty", TEXT),
        _optional("instrument", TEXT, text="the security concerned, for financing and fails"),
        _optional("since", DAY, text="when the item arose; decides its age"),
        _optional("due", DAY, text="maturity of a borrowing"),
        _EVENT_TIME,
        _BUSINESS_DATE,
    ),
)

PRICES = Topic(
    "prices",
    sharded=False,
    raw=True,
    key="instrument",
    text="Quotes and closes. The greatest (event time, sequence) of an instrument counts.",
    columns=(
        _SCHEMA,
        Column("instrument", TEXT),
        _optional("bid", MONEY, "currency per unit"),
        _optional("ask", MONEY, "currency per unit"),
        _optional("last", MONEY, "currency per unit", "last trade, or the official close for kind close"),
        Column("kind", TEXT, text="quote, close (official close of business_date) or previous_close"),
        Column("sequence", WHOLE, text="the source's own counter"),
        Column("source", TEXT),
        _EVENT_TIME,
        _BUSINESS_DATE,
    ),
)

FX = Topic(
    "fx",
    sharded=False,
    raw=True,
    key="currency",
    text="Conversion rates into the reporting currency (USD).",
    columns=(
        _SCHEMA,
        Column("currency", TEXT),
        Column("rate", RATE, "USD per unit of currency"),
        Column("sequence", WHOLE),
        Column("source", TEXT),
        _EVENT_TIME,
    ),
)

INSTRUMENTS = Topic(
    "instruments",
    sharded=False,
    raw=True,
    key="id",
    text="Reference data of instruments; a later event of the same id replaces the former.",
    columns=(
        _SCHEMA,
        Column("id", TEXT, text="options: the 21-character OCC symbol"),
        Column("kind", TEXT, text="stock, etf, index, option, treasury, bond or fund"),
        _optional("underlying", TEXT, text="options: id of the underlying, which must be known before"),
        Column("currency", TEXT),
        _optional("multiplier", WHOLE, text="units of the underlying per contract; default 1, options must say"),
        _optional("right", TEXT, text="call or put"),
        _optional("strike", MONEY, "currency per unit"),
        _optional("expiry", DAY, text="options; maturity of debt"),
        _optional("style", TEXT, text="american or european"),
        _optional("am_settled", FLAG),
        _optional(
            "underlying_class",
            TEXT,
            text="equity, narrow_index, broad_index, broad_index_high_cap, leveraged, leveraged_broad or none",
        ),
        _optional("leverage", RATE, text="factor of a leveraged fund; default 1"),
        _optional("sector", TEXT),
        _optional("issuer", TEXT),
        _optional("adv", WHOLE, "units", "average daily volume"),
        _optional("shares_outstanding", WHOLE, "units"),
        _optional("market_cap", WHOLE, "USD"),
        _optional("beta", RATE),
        _optional("borrow_fee", RATE, "per year"),
        _optional("dividend_yield", RATE, "per year, continuously compounded"),
        _optional("marginable", FLAG, text="default true"),
        _optional("product_group", TEXT),
        _optional("isin", TEXT),
        _optional("coupon", RATE, "per year"),
        _EVENT_TIME,
    ),
)

ACCOUNTS = Topic(
    "accounts",
    sharded=False,
    raw=True,
    key="id",
    text="Reference data of accounts; a later event of the same id replaces the former.",
    columns=(
        _SCHEMA,
        Column("id", TEXT),
        Column("client", TEXT, text="id of the beneficial owner"),
        Column("kind", TEXT, text="customer, pab, house or non_customer"),
        Column("margin_type", TEXT, text="cash, reg_t or portfolio"),
        _optional("strategy", TEXT),
        _optional("prime_broker", FLAG, text="default false"),
        Column("currency", TEXT),
        _optional("lei", TEXT),
        _optional("country", TEXT),
        _EVENT_TIME,
    ),
)

ACTIONS = Topic(
    "actions",
    sharded=False,
    raw=True,
    key="id",
    text="Corporate actions and expiries. A split or dividend reaches every position that came before it; announced "
    "after the day's first price set, what came before that set. A correct or cancel keeps its original's place.",
    columns=(
        _SCHEMA,
        _ID,
        _optional("version", WHOLE, text="1 for the new, +1 for each correct or cancel; default 1"),
        _optional("action", TEXT, text="new, correct or cancel; default new"),
        Column("kind", TEXT, text="split, cash_dividend or expiry"),
        Column("instrument", TEXT, text="the stock; for expiry the option series"),
        _optional("numerator", WHOLE, text="split: new units ..."),
        _optional("denominator", WHOLE, text="split: ... for each so many old"),
        _optional("amount", MONEY, "currency per unit", "cash_dividend"),
        _optional(
            "price",
            MONEY,
            "currency per unit",
            "expiry: settlement price of the underlying. split: price paid for fractions",
        ),
        _optional("pay_date", DAY),
        _EVENT_TIME,
        _BUSINESS_DATE,
    ),
)

RATES = Topic(
    "rates",
    sharded=False,
    raw=True,
    key="currency",
    text="Zero rates by currency and tenor, and expected dividends by instrument.",
    columns=(
        _SCHEMA,
        Column("kind", TEXT, text="zero or dividend"),
        _optional("currency", TEXT, text="kind zero"),
        _optional("instrument", TEXT, text="kind dividend"),
        _optional("tenor_days", WHOLE, "days", "kind zero"),
        _optional("ex_date", DAY, text="kind dividend"),
        Column("value", RATE, text="zero: continuously compounded per year; dividend: currency per unit"),
        _EVENT_TIME,
    ),
)

CLOSES = Topic(
    "closes",
    sharded=False,
    raw=True,
    key="business_date",
    text="The history of official closes before the day, one event a business date, oldest first.",
    columns=(
        _SCHEMA,
        _BUSINESS_DATE,
        Column("instruments", pa.list_(TEXT)),
        Column(
            "prices", pa.list_(MONEY), "currency per unit", "beside ``instruments``; adjusted for splits and dividends"
        ),
        Column("source", TEXT),
        _EVENT_TIME,
    ),
)

POLICIES = Topic(
    "policies",
    sharded=False,
    raw=True,
    key="id",
    text="Limits and discretionary add-ons of the house; a later event of the same id replaces the former.",
    columns=(
        _SCHEMA,
        Column("id", TEXT),
        Column("kind", TEXT, text="limit or add_on"),
        Column("scope", TEXT, text="firm, account:ID, client:ID or all of a level (client:*); an add-on: one"),
        _optional("metric", TEXT, text="kind limit: what is limited"),
        _optional("amber", MONEY, "USD or ratio", "kind limit; above red: low values breach"),
        _optional("red", MONEY, "USD or ratio", "kind limit"),
        _optional("amount", MONEY, "USD", "kind add_on, for one account; or a share"),
        _optional("share", RATE, "of the risk-based requirement", "kind add_on"),
        Column("owner", TEXT, text="who answers for it"),
        _optional("why", TEXT, text="kind add_on"),
        Column("valid_from", DAY),
        _optional("valid_to", DAY, text="last day, inclusive; an add-on must say"),
        _EVENT_TIME,
    ),
)

EPOCHS = Topic(
    "epochs",
    sharded=False,
    raw=True,
    text="The clock: one record an epoch, with the next offset of every raw partition and what the epoch is marked as.",
)

CONTROL = Topic("control", sharded=False, raw=True, text="Requests to the clock, such as a cut out of schedule.")

REFERENCE_FEEDS = (INSTRUMENTS, ACCOUNTS, ACTIONS, RATES, CLOSES, POLICIES)
MARKET_FEEDS = (PRICES, FX)
ACCOUNT_FEEDS = (CASH, CUSTODY, FIRM, TRADES)
"""In the fixed order inside an epoch."""

FEEDS = (*REFERENCE_FEEDS, *ACCOUNT_FEEDS, *MARKET_FEEDS)
"""Every raw topic that the clock bounds, in the fixed order inside an epoch: reference and actions, cash, custody,
firm, trades, and the price set last."""

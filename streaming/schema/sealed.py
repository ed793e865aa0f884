"""The tables of a cut: a public contract. Money in decimals, ids in text, no floats, rows unique by key.

Amounts are in the currency of the row, or in the reporting currency (USD) where there is none.
"""

from streaming.schema.model import DAY, FINE, FLAG, INSTANT, MONEY, RATE, TEXT, WHOLE, Column, Table
from streaming.schema.transactions import TRANSACTION_FIELDS

_ACCOUNT = Column("account", TEXT, text="account id")
_INSTRUMENT = Column("instrument", TEXT, text="instrument id")
_CURRENCY = Column("currency", TEXT, text="ISO 4217")
_FIELDS = tuple(enumerate(TRANSACTION_FIELDS, 1))

COUNTS = Table(
    "counts",
    ("app", "topic", "partition"),
    (
        Column("app", TEXT),
        Column("topic", TEXT),
        Column("partition", WHOLE),
        Column("events", WHOLE, "events", "raw events up to the cut"),
        Column("applied", WHOLE, "events"),
        Column("duplicate", WHOLE, "events"),
        Column("quarantined", WHOLE, "events"),
        Column("parked", WHOLE, "events", "waiting for a predecessor or for reference data"),
    ),
    "Every raw event up to the cut is exactly one of applied, duplicate, quarantined, parked.",
)

QUARANTINE = Table(
    "quarantine",
    ("topic", "partition", "ordinal"),
    (
        Column("topic", TEXT),
        Column("partition", WHOLE),
        Column("ordinal", WHOLE, text="number of the event in its partition"),
        Column("epoch", WHOLE, text="when it was refused"),
        Column("reason", TEXT),
        Column("detail", TEXT, text="expected and found"),
        Column("event", TEXT, text="id that the payload names; empty where none can be read"),
        Column("payload_digest", TEXT, text="SHA-256, first 32 hex digits"),
        Column("offset", WHOLE, locator=True),
    ),
    "The business day's refused events.",
)

REJECTS = Table(
    "rejects",
    ("account", "instrument", "epoch", "ordinal"),
    (
        _ACCOUNT,
        _INSTRUMENT,
        Column("epoch", WHOLE),
        Column("ordinal", WHOLE),
        Column("reason", TEXT),
    ),
    "Accepted events that an application could not apply, by name.",
)

INSTRUMENTS = Table(
    "instruments",
    ("id",),
    (
        Column("id", TEXT),
        Column("kind", TEXT),
        Column("underlying", TEXT),
        _CURRENCY,
        Column("multiplier", WHOLE, "units of the underlying"),
        Column("right", TEXT),
        Column("strike", MONEY, "currency per unit"),
        Column("expiry", DAY, required=False),
        Column("style", TEXT),
        Column("sector", TEXT),
        Column("issuer", TEXT),
        Column("adv", WHOLE, "units", "-1 = unknown"),
        Column("shares_outstanding", WHOLE, "units", "-1 = unknown"),
        Column("market_cap", WHOLE, "USD", "-1 = unknown"),
        Column("beta", RATE, text="to the index; null = unknown", required=False),
        Column("underlying_class", TEXT, text="what option and scan percentages depend on; none = not given"),
        Column("isin", TEXT),
    ),
    "Instruments known at the cut.",
)

ACCOUNTS = Table(
    "accounts",
    ("id",),
    (
        Column("id", TEXT),
        Column("client", TEXT),
        Column("kind", TEXT),
        Column("margin_type", TEXT),
        Column("strategy", TEXT),
        Column("prime_broker", FLAG),
        _CURRENCY,
        Column("lei", TEXT),
        Column("country", TEXT),
    ),
    "Accounts known at the cut.",
)

POSITIONS = Table(
    "positions",
    ("account", "instrument"),
    (
        _ACCOUNT,
        _INSTRUMENT,
        _CURRENCY,
        Column("quantity", WHOLE, "units", "signed"),
        Column("cost", MONEY, "currency", "signed cost basis of the open quantity"),
        Column("open_quantity", WHOLE, "units", "with which the day began"),
        Column("open_cost", MONEY, "currency"),
        Column("realised", MONEY, "currency", "result of what was closed today"),
        Column("fees", MONEY, "currency", "charged today"),
        Column("dividends", MONEY, "currency", "received today; paid on shorts negative"),
        Column("flow", MONEY, "currency", "signed cash effect of today's events"),
        Column("bought", WHOLE, "units", "today"),
        Column("sold", WHOLE, "units", "today"),
    ),
    "Positions open or touched today.",
)

CASH = Table(
    "cash",
    ("account", "currency"),
    (
        _ACCOUNT,
        _CURRENCY,
        Column("amount", MONEY, "currency", "trade-date balance: positive = the firm owes the account"),
        Column("settled", MONEY, "currency", "the part settled on the business date"),
        Column("short_proceeds", MONEY, "currency", "credit of open short sales inside the balance"),
    ),
    "Cash by account and currency.",
)

TRADES = Table(
    "trades",
    ("id",),
    (
        Column("id", TEXT),
        Column("version", WHOLE),
        _ACCOUNT,
        _INSTRUMENT,
        Column("kind", TEXT),
        Column("quantity", WHOLE, "units", "signed: bought positive"),
        Column("price", MONEY, "currency per unit"),
        Column("fee", MONEY, "currency"),
        Column("event_time", INSTANT),
        Column("settle_date", DAY, required=False),
        Column("counterparty", TEXT),
        Column("venue", TEXT),
        Column("topic", TEXT, locator=True),
        Column("partition", WHOLE, locator=True),
        Column("offset", WHOLE, locator=True),
    ),
    "The day's effective trades, each in its newest version (end of day only).",
)

ACTIONS = Table(
    "actions",
    ("id",),
    (
        Column("id", TEXT),
        Column("version", WHOLE),
        Column("kind", TEXT),
        _INSTRUMENT,
        Column("numerator", WHOLE),
        Column("denominator", WHOLE),
        Column("amount", MONEY, "currency per unit"),
        Column("price", MONEY, "currency per unit"),
        Column("pay_date", DAY, required=False),
    ),
    "The day's effective corporate actions and expiries, each in its newest version.",
)

EXPECTED_DIVIDENDS = Table(
    "expected_dividends",
    ("instrument", "ex_date"),
    (
        _INSTRUMENT,
        Column("ex_date", DAY),
        Column("amount", MONEY, "currency per unit", "0 when the expectation was taken back"),
    ),
    "Cash dividends that reference data expect, whether announced or not.",
)

PRICES = Table(
    "prices",
    ("instrument",),
    (
        _INSTRUMENT,
        _CURRENCY,
        Column("price", MONEY, "currency per unit", "0 where missing, see status"),
        Column("status", TEXT, text="good, last_good, stale or missing"),
        Column("age", WHOLE, "seconds", "since the price's event time; -1 when missing"),
        Column("source", TEXT),
        Column("previous_close", MONEY, "currency per unit", "0 where unknown"),
        Column("close", MONEY, "currency per unit", "official close of the business date; 0 where there is none yet"),
        Column("price_set", TEXT),
    ),
    "The price set of the cut: one price per instrument.",
)

FX = Table(
    "fx",
    ("currency",),
    (_CURRENCY, Column("rate", RATE, "USD per unit"), Column("price_set", TEXT)),
    "Conversion rates of the price set.",
)

VALUATION = Table(
    "valuation",
    ("instrument",),
    (
        _INSTRUMENT,
        Column("model_value", MONEY, "currency per unit", "with today's inputs"),
        Column("vol", RATE, "per year", "implied, or fitted; 0 where it has no meaning"),
        Column("vol_source", TEXT, text="implied, fitted, proxy or none"),
        Column("delta", RATE, "per 1.00 of spot"),
        Column("gamma", FINE, "per 1.00 of spot"),
        Column("vega", MONEY, "currency per 1.00 of volatility"),
        Column("price_set", TEXT),
    ),
    "Model values of the price set.",
)
"""``model_value`` is per unit of the underlying."""

PNL = Table(
    "pnl",
    ("account", "instrument"),
    (
        _ACCOUNT,
        _INSTRUMENT,
        _CURRENCY,
        Column("quantity", WHOLE, "units"),
        Column("price", MONEY, "currency per unit"),
        Column("market_value", MONEY, "currency", "signed"),
        Column("unrealised", MONEY, "currency", "market value less cost basis"),
        Column("realised", MONEY, "currency", "today"),
        Column("day_pnl", MONEY, "currency", "since the previous close: on opening positions, trades, dividends, fees"),
        Column("market_value_usd", MONEY, "USD"),
        Column("day_pnl_usd", MONEY, "USD"),
        Column("price_status", TEXT),
        Column("price_set", TEXT),
    ),
    "Profit and loss and market value by position.",
)

EXPOSURE = Table(
    "exposure",
    ("account",),
    (
        _ACCOUNT,
        Column("long_value", MONEY, "USD"),
        Column("short_value", MONEY, "USD", "absolute"),
        Column("cash", MONEY, "USD"),
        Column("equity", MONEY, "USD", "cash plus market value"),
        Column("day_pnl", MONEY, "USD"),
        Column("delta_value", MONEY, "USD", "sum of delta x spot x units"),
        Column("vega", MONEY, "USD per 1.00 of volatility"),
        Column("unpriced", WHOLE, "positions", "without any price or exchange rate"),
        Column("price_set", TEXT),
    ),
    "What each account has and is exposed to.",
)

SCENARIOS = Table(
    "scenarios",
    ("scenario",),
    (
        Column("scenario", TEXT),
        Column("name", TEXT),
        Column("family", TEXT),
        Column("scope", TEXT, text="market, spot, or name / sector: the worst one alone counts"),
        Column("source", TEXT),
        Column("evidence", TEXT, text="each shock with V found in public, K professional knowledge, H house"),
        Column("note", TEXT, text="what had to be assumed"),
        Column("clipped", WHOLE, "instruments", "whose fall beyond -100% was cut"),
        Column("library", TEXT, text="digest of the scenario library"),
    ),
    "The scenarios that the cut ran: the core at every cut, the others and the grid at the end of day.",
)

STRESS = Table(
    "stress",
    ("account", "scenario"),
    (
        _ACCOUNT,
        Column("scenario", TEXT),
        Column("loss", MONEY, "USD", "positive = loss, against today's model value"),
        Column("part", TEXT, text="the name or sector whose fall alone costs most, where the scenario hits one alone"),
        Column("equity_after", MONEY, "USD", "equity less the loss and the charge on unpriced positions"),
        Column("price_set", TEXT),
    ),
    "Full-revaluation stress losses by account.",
)

STRESS_UNDERLYING = Table(
    "stress_underlying",
    ("account", "underlying", "scenario"),
    (
        _ACCOUNT,
        Column("underlying", TEXT),
        Column("scenario", TEXT),
        Column("loss", MONEY, "USD", "positive = loss"),
    ),
    "Stress losses by account and underlying (core scenarios). They sum exactly to the account's where the scenario is "
    "one state of the market; where it hits one name or sector alone, the account has the worst one.",
)

STRESS_SURFACE = Table(
    "stress_surface",
    ("account", "underlying"),
    (
        _ACCOUNT,
        Column("underlying", TEXT),
        Column("worst_loss", MONEY, "USD", "largest loss on the spot x volatility grid"),
        Column("worst_spot", RATE, "relative change"),
        Column("worst_vol", RATE, "relative change"),
        Column("inner_loss", MONEY, "USD", "largest loss within the inner range of spots"),
        Column("inner_spot", RATE, "relative change"),
        Column("inner_vol", RATE, "relative change"),
    ),
    "The worst cells of each account and underlying's spot x volatility surface (end of day only).",
)

STRESS_UNPRICED = Table(
    "stress_unpriced",
    ("account", "instrument"),
    (
        _ACCOUNT,
        _INSTRUMENT,
        Column("charge", MONEY, "USD", "in full, beside every scenario's loss"),
        Column("reason", TEXT),
    ),
    "Positions that no scenario can value.",
)

STRESS_TOTALS = Table(
    "stress_totals",
    ("level", "name", "scenario"),
    (
        Column("level", TEXT, text="firm, client, strategy, sector or underlying"),
        Column("name", TEXT),
        Column("scenario", TEXT),
        Column("loss", MONEY, "USD", "positive = loss"),
        Column("part", TEXT, text="the name or sector whose fall alone costs most, where the scenario hits one alone"),
        Column("delta", MONEY, "USD", "explained loss (end of day, core scenarios)", required=False),
        Column("gamma", MONEY, "USD", required=False),
        Column("vega", MONEY, "USD", required=False),
        Column("residual", MONEY, "USD", "loss less delta, gamma and vega", required=False),
    ),
    "Stress losses above the account, and what explains them.",
)

MARGIN = Table(
    "margin",
    ("account",),
    (
        _ACCOUNT,
        Column("margin_type", TEXT),
        Column("cash", MONEY, "USD"),
        Column("lmv", MONEY, "USD", "long market value"),
        Column("smv", MONEY, "USD", "absolute short market value"),
        Column("equity", MONEY, "USD", "net equity"),
        Column("margin_equity", MONEY, "USD", "with the cap on stock under in-the-money short calls"),
        Column("initial", MONEY, "USD", "Regulation T initial requirement, net of short option value"),
        Column("maintenance", MONEY, "USD", "strategy-based maintenance requirement, net of short option value"),
        Column("portfolio", MONEY, "USD", "portfolio margin requirement, 4210(g)"),
        Column("requirement", MONEY, "USD", "the regulatory requirement of the account's own regime"),
        Column("excess", MONEY, "USD", "equity of that regime less the requirement; negative = deficit"),
        Column("reg_t_excess", MONEY, "USD"),
        Column("maintenance_excess", MONEY, "USD"),
        Column("maintenance_call", MONEY, "USD"),
        Column("sma", MONEY, "USD"),
        Column("buying_power", MONEY, "USD"),
        Column("peak_deficit", MONEY, "USD", "largest deficit of the day so far, at a price set"),
        Column("peak_price_set", TEXT, text="when; empty when there was none"),
        Column("peak_cause", TEXT, text="the trade, price or cash movement that made it; or opening position, other"),
        Column("price_set", TEXT),
    ),
    "What each account must hold, and has.",
)

MARGIN_LINES = Table(
    "margin_lines",
    ("account", "underlying", "line"),
    (
        _ACCOUNT,
        Column("underlying", TEXT),
        Column("line", WHOLE, text="number of the treatment within account and underlying"),
        Column("strategy", TEXT),
        Column("legs", TEXT, text="signed quantity x instrument, joined by ' + '"),
        Column("maintenance", MONEY, "USD", "premium of short options included"),
        Column("initial", MONEY, "USD"),
        Column("premium", MONEY, "USD", "market value of the line's short options"),
        Column("rule", TEXT),
        Column("sentence", TEXT, text="what a client reads"),
    ),
    "Strategy-based margin: every contract and share in exactly one line; lines sum to the account.",
)

MARGIN_GROUPS = Table(
    "margin_groups",
    ("account", "margin_group"),
    (
        _ACCOUNT,
        Column("margin_group", TEXT),
        Column("level", TEXT, text="class, product or portfolio"),
        Column("scenario_loss", MONEY, "USD"),
        Column("worst_point", WHOLE, text="1 to 10; 0 where no point loses"),
        Column("minimum", MONEY, "USD"),
        Column("requirement", MONEY, "USD"),
        Column("rule", TEXT),
    ),
    "Portfolio margin by group.",
)

MARGIN_SHOCKS = Table(
    "margin_shocks",
    ("account", "margin_group", "instrument"),
    (
        _ACCOUNT,
        Column("margin_group", TEXT),
        Column("instrument", TEXT, text="a member of the group; empty = the whole group, after offsets"),
        *(Column(f"p{point}", MONEY, "USD", f"P&L at point {point} of the scan") for point in range(1, 11)),
    ),
    "P&L of portfolio-margin accounts at the ten points, by group and by member: 1 to 5 up, the largest first, "
    "6 to 10 down, the largest last.",
)

MARGIN_SCAN_LINES = Table(
    "margin_scan_lines",
    ("account", "line"),
    (
        _ACCOUNT,
        Column("line", WHOLE),
        Column("strategy", TEXT, text="scan, minimum per contract, strategy-based or charged in full"),
        Column("legs", TEXT, text="signed quantity x instrument, joined by ' + '"),
        Column("inputs", TEXT),
        Column("amount", MONEY, "USD"),
        Column("rule", TEXT),
        Column("sentence", TEXT, text="what a client reads"),
    ),
    "The requirement of portfolio-margin accounts, taken apart; the lines sum to the account's.",
)

MARGIN_HOUSE = Table(
    "margin_house",
    ("account",),
    (
        _ACCOUNT,
        Column("regulatory", MONEY, "USD", "on what can be margined"),
        Column("non_marginable", MONEY, "USD", "positions that cannot be margined, or lack data"),
        Column("concentration", MONEY, "USD"),
        Column("extreme_move", MONEY, "USD"),
        Column("liquidity", MONEY, "USD"),
        Column("gap", MONEY, "USD", "short options about to expire"),
        Column("vega", MONEY, "USD"),
        Column("event", MONEY, "USD"),
        Column("borrow", MONEY, "USD", "hard-to-borrow shorts"),
        Column("var_floor", MONEY, "USD", "what 5-day VaR of the newest end of day exceeds the requirement so far"),
        Column("discretionary", MONEY, "USD"),
        Column("scan_requirement", MONEY, "USD", "portfolio margin, for every account"),
        Column("strategy_requirement", MONEY, "USD", "strategy-based maintenance, for every account"),
        Column("regulatory_requirement", MONEY, "USD", "the one of the two that applies"),
        Column("house_requirement", MONEY, "USD", "the sum of the components"),
        Column("effective_requirement", MONEY, "USD", "the greater of regulatory and house"),
        Column("binding", TEXT, text="scan, strategy or house"),
        Column("house_excess", MONEY, "USD"),
        Column("effective_excess", MONEY, "USD"),
        Column("price_set", TEXT),
    ),
    "House margin of every account with positions, in components that sum to it.",
)

MARGIN_HOUSE_LINES = Table(
    "margin_house_lines",
    ("account", "line"),
    (
        _ACCOUNT,
        Column("line", WHOLE),
        Column("component", TEXT),
        Column("name", TEXT, text="class group; empty for a component of the whole account"),
        Column("amount", MONEY, "USD"),
        Column("rule", TEXT),
        Column("sentence", TEXT, text="what a client reads"),
    ),
    "The components of house margin by name; an account's lines sum to its house requirement.",
)

CALLS = Table(
    "calls",
    ("account", "kind"),
    (
        _ACCOUNT,
        Column("kind", TEXT, text="maintenance, regulation_t, portfolio, house or intraday"),
        Column("amount", MONEY, "USD"),
        Column("due", DAY, text="last day to meet it, when called on the business date"),
        Column("rule", TEXT),
    ),
    "Margin calls as they stand at the cut. Calls of one account overlap: the largest covers the others.",
)

LIMITS = Table(
    "limits",
    ("metric", "level", "name"),
    (
        Column("metric", TEXT),
        Column("level", TEXT, text="account, client or firm"),
        Column("name", TEXT),
        Column("value", MONEY, "USD or ratio", "null where the metric was not there", required=False),
        Column("amber", MONEY, "USD or ratio"),
        Column("red", MONEY, "USD or ratio"),
        Column("status", TEXT, text="GREEN, AMBER, RED or NOT_EVALUATED"),
        Column("owner", TEXT),
        Column("valid_from", DAY),
    ),
    "Limits against their metrics. Amber below red: high values breach; amber above red: low values do.",
)

POLICIES = Table(
    "policies",
    ("id",),
    (
        Column("id", TEXT),
        Column("kind", TEXT, text="limit or add_on"),
        Column("scope", TEXT, text="firm, or account or client and name"),
        Column("metric", TEXT),
        Column("amber", MONEY, "USD or ratio", required=False),
        Column("red", MONEY, "USD or ratio", required=False),
        Column("amount", MONEY, "USD", "of an add-on", required=False),
        Column("share", RATE, "of the risk-based requirement", "of an add-on", required=False),
        Column("owner", TEXT, text="who set it and answers for it"),
        Column("why", TEXT),
        Column("valid_from", DAY),
        Column("valid_to", DAY, text="last day, inclusive", required=False),
    ),
    "Limits and discretionary add-ons as the house has set them, also those that are over.",
)

LIMIT_BREACHES = Table(
    "limit_breaches",
    ("metric", "level", "name"),
    (
        Column("metric", TEXT),
        Column("level", TEXT, text="account or client"),
        Column("name", TEXT),
        Column("status", TEXT, text="at the cut: GREEN, AMBER or RED"),
        Column("worst", TEXT, text="of the day so far: AMBER or RED"),
        Column("first_price_set", TEXT, text="the first of the day at which the limit was reached"),
        Column("worst_price_set", TEXT, text="the first of the day at which it stood at its worst"),
        Column("worst_value", MONEY, "USD or ratio", "there"),
    ),
    "Limits that were reached at a price set of the day, whether or not they still are.",
)

MARGIN_PATH = Table(
    "margin_path",
    ("account", "price_set"),
    (
        _ACCOUNT,
        Column("price_set", TEXT),
        Column("equity", MONEY, "USD"),
        Column("requirement", MONEY, "USD"),
        Column("excess", MONEY, "USD"),
    ),
    "The day's path of each account, one row per price set.",
)

CAPITAL_LINES = Table(
    "capital_lines",
    ("statement", "line"),
    (
        Column("statement", TEXT, text="net_capital, requirement, reserve_customer, reserve_pab, haircuts, basel, ..."),
        Column("line", WHOLE, text="order on the statement"),
        Column("code", TEXT, text="line code, for example 3480 or item 10"),
        Column("label", TEXT),
        Column("amount", MONEY, "USD", "null = not supplied, which is not zero", required=False),
        Column("rule", TEXT, text="paragraph"),
        Column("evidence", TEXT, text="V, K or H; K and H: confirm before filing"),
        Column("formula", TEXT),
        Column("inputs", TEXT, text="what entered the formula: name=value; amounts in micros", required=False),
    ),
    "The firm's capital computations, line by line.",
)

CAPITAL_INPUTS = Table(
    "capital_inputs",
    ("statement", "line", "place"),
    (
        Column("statement", TEXT),
        Column("line", WHOLE),
        Column("place", WHOLE),
        Column("item", TEXT, text="what the row below the line is: an account, security, ledger item"),
        Column("amount", MONEY, "USD"),
        Column("detail", TEXT),
    ),
    "The rows below each capital line.",
)

NOTICES = Table(
    "notices",
    ("code",),
    (
        Column("code", TEXT),
        Column("label", TEXT),
        Column("level", TEXT, text="green, amber or red"),
        Column("value", MONEY, "USD or ratio"),
        Column("threshold", MONEY, "USD or ratio"),
        Column("headroom", MONEY, "USD", "until it fires; negative = beyond", required=False),
        Column("fires", FLAG),
        Column("timing", TEXT),
        Column("rule", TEXT),
    ),
    "Every early-warning and restriction test on its own.",
)

CHECKS = Table(
    "checks",
    ("check", "key"),
    (
        Column("check", TEXT),
        Column("key", TEXT, text="what was compared: security, account, currency"),
        Column("expected", MONEY),
        Column("found", MONEY),
        Column("difference", MONEY, text="found less expected"),
    ),
    "Reconciliations: only the compared values; Great Expectations judges them.",
)

HEADLINES = Table(
    "headlines",
    ("name",),
    (
        Column("name", TEXT, text="for example net_capital, required, excess, aggregate_debits, reserve_deposit"),
        Column("value", MONEY),
        Column("unit", TEXT),
        Column("label", TEXT),
    ),
    "The firm's key figures.",
)

STRESS_FIRM = Table(
    "stress_firm",
    ("scenario",),
    (
        Column("scenario", TEXT),
        Column("name", TEXT),
        Column("family", TEXT),
        Column("loss", MONEY, "USD", "of all accounts, positive = loss"),
        Column("house_loss", MONEY, "USD", "of the firm's own positions"),
        Column("client_shortfall", MONEY, "USD", "sum over clients of what their equity does not cover"),
        Column("largest_shortfall", MONEY, "USD"),
        Column("largest_client", TEXT),
        Column("top_five_shortfall", MONEY, "USD"),
        Column("clients_short", WHOLE, "clients"),
        Column(
            "net_capital_after",
            MONEY,
            "USD",
            "net capital less the house loss and the client shortfall; haircuts as at the cut. In full: stress_capital",
            required=False,
        ),
    ),
    "What each scenario does to the firm.",
)

_SCENARIO = Column("scenario", TEXT, text="scenario id; 'before stress' is the cut itself")

STRESS_CAPITAL = Table(
    "stress_capital",
    ("scenario",),
    (
        _SCENARIO,
        Column("name", TEXT),
        Column("part", TEXT, text="the name or sector that the scenario is computed for, where it hits one alone"),
        Column("house_profit", MONEY, "USD", "of the firm's own positions; in ownership equity"),
        Column("unsecured_debits", MONEY, "USD", "unsecured and partly secured debits, deducted"),
        Column("undermargined", MONEY, "USD", "margin deficiencies deducted; requirements and calls as at the cut"),
        Column("tentative_net_capital", MONEY, "USD"),
        Column("haircuts", MONEY, "USD"),
        Column("net_capital", MONEY, "USD"),
        Column("required", MONEY, "USD", "of the elected method"),
        Column("excess", MONEY, "USD"),
        Column("aggregate_debits", MONEY, "USD"),
        Column("warning_headroom", MONEY, "USD", "to the nearest early warning of 17a-11; negative = beyond"),
        Column("reserve_customer", MONEY, "USD", "customer reserve deposit required"),
        Column("reserve_pab", MONEY, "USD"),
        Column("customer_to_deposit", MONEY, "USD", "required less the bank balance; negative: may be withdrawn"),
        Column("level", TEXT, text="green, amber or red"),
        Column("fires", WHOLE, "notices", "that fire"),
        Column("severest", TEXT, text="code of the first that fires, same-day notices first; empty without any"),
    ),
    "Net capital and reserve computed in full under every scenario of the cut (end of day only).",
)

REVERSE_STRESS = Table(
    "reverse_stress",
    ("target", "name"),
    (
        Column("target", TEXT, text="what breaks: the firm's early warning, a client's margin call or equity"),
        Column("name", TEXT, text="the firm, or the client"),
        Column("breaches", FLAG, text="False: nothing within the grid's range breaks it"),
        Column("spot", RATE, "relative change of every spot", required=False),
        Column("vol", RATE, "relative change of every volatility", required=False),
        Column("distance", RATE, "sd of a day", "Mahalanobis distance from no move", required=False),
        Column("room", MONEY, "USD", "without any move"),
        Column("points", WHOLE, "points", "of the grid that was searched before narrowing"),
    ),
    "The smallest joint move of spots and volatility that breaks a threshold (end of day only).",
)

CAPITAL_STACK = Table(
    "capital_stack",
    ("scenario",),
    (
        _SCENARIO,
        Column("loss", MONEY, "USD", "house loss and what more clients could not pay; off CET1 in full"),
        Column("cet1", MONEY, "USD"),
        Column("tier1", MONEY, "USD"),
        Column("total", MONEY, "USD"),
        Column("risk_weighted_assets", MONEY, "USD"),
        Column("cet1_ratio", RATE, "of risk-weighted assets"),
        Column("tier1_ratio", RATE, "of risk-weighted assets"),
        Column("total_ratio", RATE, "of risk-weighted assets"),
        Column("leverage_ratio", RATE, "of the leverage exposure"),
        *(
            Column(f"{tier}_over_{level}", MONEY, "USD", f"{tier} less what {words} requires")
            for tier in ("cet1", "tier1", "total")
            for level, words in (
                ("p1", "pillar 1"),
                ("tscr", "pillar 1 and P2R"),
                ("ocr", "those and the combined buffer"),
                ("p2g", "all of it and P2G"),
            )
        ),
        Column("leverage_surplus", MONEY, "USD", "tier 1 over the minimum"),
        Column("buffer_left", RATE, "of risk-weighted assets", "least capital left after TSCR over the tiers"),
        Column("payout_limited", FLAG, text="the maximum distributable amount applies"),
        Column("payout_part", RATE, "of earnings", "that may be paid out"),
    ),
    "Group view: ratios and the supervisory stack before stress and after each scenario (end of day only).",
)

OPEN_ITEMS = Table(
    "open_items",
    ("what", "reference", "item"),
    (
        Column("what", TEXT, text="fail_to_deliver, fail_to_receive, dividend_receivable (stock) or cash_dividend"),
        Column("reference", TEXT),
        Column("item", WHOLE, text="number of the item under its reference"),
        Column("instrument", TEXT, text="empty for cash"),
        Column("quantity", WHOLE, "units", "0 for cash"),
        Column("amount", MONEY, "USD", "contract money, or the dividend"),
        Column("value", MONEY, "USD", "market value; the amount for cash"),
        Column("since", DAY, text="settlement or payment day"),
        Column("business_age", WHOLE, "business days"),
        Column("calendar_age", WHOLE, "days"),
        Column("bucket", TEXT, text="calendar days"),
        Column("sale", TEXT, text="of a fail to deliver: short, long, market_maker, deemed_owned or none"),
        Column(
            "close_out", DAY, text="Reg SHO 204: the session by whose opening it must be closed out", required=False
        ),
        Column("overdue", FLAG, text="that opening has passed"),
        Column("rule", TEXT),
    ),
    "Fails and dividends by age, with the close-out date of fails to deliver (end of day only).",
)

POSSESSION = Table(
    "possession",
    ("kind", "instrument", "source"),
    (
        Column("kind", TEXT, text="customer or pab"),
        _INSTRUMENT,
        Column("source", TEXT, text="pledged, loaned, fail_to_receive or other: where it is to be got from; none"),
        Column("fully_paid", WHOLE, "units"),
        Column("excess_margin", WHOLE, "units"),
        Column("in_control", WHOLE, "units", "box, depository, segregated, in transfer not over 40 days"),
        Column("deficit", WHOLE, "units", "of the security"),
        Column("value", MONEY, "USD", "market value of the deficit"),
        Column("since", DAY, text="day on which the deficit arose", required=False),
        Column("business_age", WHOLE, "business days"),
        Column("quantity", WHOLE, "units", "to be got from this source"),
        Column("cure", DAY, text="by when", required=False),
        Column("rule", TEXT),
    ),
    "Possession or control of customers' securities, deficits with age, source and cure date (end of day only).",
)

STOCK_LOANS = Table(
    "stock_loans",
    ("instrument",),
    (
        _INSTRUMENT,
        Column("borrowed", WHOLE, "units"),
        Column("loaned", WHOLE, "units"),
        Column("matched", WHOLE, "units"),
        Column("borrowed_amount", MONEY, "USD", "cash given"),
        Column("loaned_amount", MONEY, "USD", "cash taken"),
        Column("value_matched", MONEY, "USD", "market value of the matched quantity"),
    ),
    "Stock borrowed against stock lent (end of day only).",
)

SECURITY_USE = Table(
    "security_use",
    ("account", "instrument"),
    (
        _ACCOUNT,
        _INSTRUMENT,
        Column("quantity", WHOLE, "units"),
        Column("segregated", WHOLE, "units", "fully paid or excess margin: in possession or control"),
        Column("usable", WHOLE, "units", "may be pledged or lent: up to 140% of the debit"),
        Column("used", WHOLE, "units", "share of what is pledged or lent"),
        Column("excess_use", WHOLE, "units", "used beyond what is usable"),
    ),
    "Customers' long securities: segregated and pledged, by account (end of day only).",
)

CREDIT_LOSSES = Table(
    "credit_losses",
    ("exposure",),
    (
        Column("exposure", TEXT, text="client, or stock borrow by counterparty"),
        Column("stage", WHOLE),
        Column("trigger", TEXT, text="why it is in its stage"),
        Column("watch", FLAG, text="collateral under 105% of the exposure"),
        Column("gross", MONEY, "USD", "exposure at default"),
        Column("collateral", MONEY, "USD"),
        Column("loss", MONEY, "USD", "booked expected credit loss"),
        Column("twelve_month", MONEY, "USD"),
        Column("lifetime_contractual", MONEY, "USD", "life = notice and close-out"),
        Column("lifetime_behavioural", MONEY, "USD"),
        Column("expedient", MONEY, "USD", "CECL, ASC 326-20-35-6: exposure above the unshocked collateral"),
        Column("annual_pd", RATE, "probability of default within a year"),
        Column("daily_volatility", RATE, "of the collateral", required=False),
        Column("liquidity", TEXT),
        Column("concentrated", FLAG),
        Column("call_age", WHOLE, "business days", "of the oldest unmet call"),
        Column("interest", MONEY, "USD", "revenue of one day"),
    ),
    "IFRS 9 expected credit loss by exposure (end of day only).",
)

CREDIT_MOVEMENT = Table(
    "credit_movement",
    ("measure", "stage"),
    (
        Column("measure", TEXT, text="gross or loss"),
        Column("stage", WHOLE),
        Column("exposures", WHOLE, "exposures", "at the close"),
        Column("opening", MONEY, "USD", "of the end of day before"),
        Column("transfers_in", MONEY, "USD", "at opening amounts"),
        Column("transfers_out", MONEY, "USD"),
        Column("new", MONEY, "USD"),
        Column("derecognised", MONEY, "USD"),
        Column("remeasured", MONEY, "USD"),
        Column("closing", MONEY, "USD", "opening + in - out + new - derecognised + remeasured"),
    ),
    "Movement of exposures and losses by stage from the end of day before (end of day only).",
)

FUNDING_PATH = Table(
    "funding_path",
    ("direction", "flow", "days"),
    (
        Column("direction", TEXT, text="inflow, outflow or result"),
        Column("flow", TEXT),
        Column("days", WHOLE, "days", "from the start of the wind-down"),
        Column("amount", MONEY, "USD", "cumulative; the gap is inflows less outflows"),
        Column("rule", TEXT),
        Column("evidence", TEXT),
    ),
    "Resolution planning: funding need and sources by horizon (end of day only).",
)

PORTABILITY = Table(
    "portability",
    ("account",),
    (
        _ACCOUNT,
        Column("portable", FLAG),
        Column("obstacle", TEXT, text="the first that stands against a transfer as it is"),
        Column("equity", MONEY, "USD"),
        Column("open_call", MONEY, "USD"),
        Column("segregation_deficit", MONEY, "USD", "the account's part of its securities' deficits"),
        Column("free_credit", MONEY, "USD"),
    ),
    "Which client accounts could move to another broker as they are (end of day only).",
)

VAR = Table(
    "var",
    ("level", "name", "method", "horizon_days", "confidence"),
    (
        Column("level", TEXT, text="firm, account, strategy, underlying or sector"),
        Column("name", TEXT),
        Column("method", TEXT),
        Column("horizon_days", WHOLE),
        Column("confidence", RATE),
        Column("var", MONEY, "USD", "positive = loss"),
        Column("es", MONEY, "USD"),
        Column("scenarios", WHOLE),
        Column("proxied", RATE, "share of gross exposure"),
    ),
    "Value at risk and expected shortfall (end of day only).",
)

VAR_COMPONENTS = Table(
    "var_components",
    ("level", "name"),
    (
        Column("level", TEXT, text="account, strategy, underlying or sector"),
        Column("name", TEXT),
        Column("confidence", RATE),
        Column("standalone", MONEY, "USD"),
        Column("component", MONEY, "USD", "sums exactly to the firm's VaR at each level"),
        Column("smoothed", MONEY, "USD", "the component averaged over neighbouring scenarios; the same sum"),
        Column("marginal", RATE, "component per unit of exposure"),
        Column("incremental", MONEY, "USD", "the firm's VaR less its VaR without this part"),
        Column("exposure", MONEY, "USD", "delta-equivalent, signed"),
    ),
    "Who carries the firm's one-day historical VaR (end of day only).",
)

VAR_BACKTEST = Table(
    "var_backtest",
    ("date",),
    (
        Column("date", DAY),
        Column("pnl", MONEY, "USD", "of today's delta-equivalent exposures held on that day"),
        Column("var", MONEY, "USD", "known the day before"),
        Column("es", MONEY, "USD"),
        Column("exception", FLAG, text="loss strictly above VaR"),
    ),
    "The firm's VaR through the loaded price history (end of day only).",
)

TRANSACTION_REPORTS = Table(
    "transaction_reports",
    ("f02_transaction_reference_number", "f01_report_status"),
    tuple(Column(name, TEXT, text=f"field {number}; blank = not applicable") for number, name in _FIELDS),
    "MiFIR transaction reports (RTS 22) of the day's trades in scope that have no fault (end of day only).",
)

TRANSACTION_FAULTS = Table(
    "transaction_faults",
    ("status", "reference", "field"),
    (
        Column("status", TEXT, text="held back, or out of scope"),
        Column("reference", TEXT, text="trade id; out of scope: the reason"),
        Column("field", WHOLE, text="number in RTS 22 annex I table 2; 0 = the whole trade"),
        Column("name", TEXT),
        Column("expected", TEXT),
        Column("found", TEXT),
        Column("trades", WHOLE, "trades"),
        Column("due", TEXT, text="day by whose close the day's reports must be in"),
    ),
    "Trades held back from transaction reporting by field, and trades out of scope counted by reason.",
)

PARAMETERS = Table(
    "parameters",
    ("id", "client", "product"),
    (
        Column("id", TEXT),
        Column("client", TEXT, text="empty: for every client"),
        Column("product", TEXT, text="empty: for every product"),
        Column("value", TEXT, text="decimal text; lists and tables as JSON"),
        Column("unit", TEXT),
        Column("rule", TEXT, text="paragraph"),
        Column("valid_from", DAY),
        Column("valid_to", DAY, text="last day, inclusive", required=False),
        Column("evidence", TEXT, text="V found in public, K professional knowledge, H house policy"),
        Column("source", TEXT, text="where the value stands; of an override its reason"),
    ),
    "The rule parameters in force at the rule date.",
)

TABLES = {table.name: table for table in list(globals().values()) if isinstance(table, Table)}
"""Every sealed table by name."""

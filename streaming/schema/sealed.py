"""The tables of a cut: a public contract. Money in decimals, ids in text, no floats, rows unique by key.

Amounts are in the currency of the row, or in the reporting currency (USD) where there is none.
"""

from streaming.schema.model import DAY, FINE, FLAG, INSTANT, MONEY, RATE, TEXT, WHOLE, Column, Table

_ACCOUNT = Column("account", TEXT, text="account id")
_INSTRUMENT = Column("instrument", TEXT, text="instrument id")
_CURRENCY = Column("currency", TEXT, text="ISO 4217")

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
        Column("unpriced", WHOLE, "positions", "without any price"),
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
            "net capital less the house loss and the client shortfall; haircuts as at the cut",
            required=False,
        ),
    ),
    "What each scenario does to the firm.",
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

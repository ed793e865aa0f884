"""What applications exchange: normalised rows. Codes are row numbers of the reference tables (risk/reference.py)."""

import pyarrow as pa

I8, I32, I64, TEXT, FLAG = pa.int8(), pa.int32(), pa.int64(), pa.string(), pa.bool_()

INSTRUMENTS = pa.schema(
    [
        ("id", TEXT),
        ("kind", I8),
        ("underlying", I32),
        ("currency", TEXT),
        ("multiplier", I64),
        ("right", I8),
        ("strike", I64),
        ("expiry", I32),
        ("style", I8),
        ("am_settled", FLAG),
        ("underlying_class", I8),
        ("leverage", I64),
        ("sector", TEXT),
        ("issuer", TEXT),
        ("adv", I64),
        ("shares_outstanding", I64),
        ("market_cap", I64),
        ("beta", I64),
        ("borrow_fee", I64),
        ("dividend_yield", I64),
        ("marginable", FLAG),
        ("product_group", TEXT),
        ("isin", TEXT),
        ("coupon", I64),
        ("known_from", I64),
    ]
)
"""All instruments, row number = code; money and rates as unscaled micros and ppm. ``known_from``: first epoch."""

ACCOUNTS = pa.schema(
    [
        ("id", TEXT),
        ("client", TEXT),
        ("kind", I8),
        ("margin_type", I8),
        ("strategy", TEXT),
        ("prime_broker", FLAG),
        ("currency", TEXT),
        ("lei", TEXT),
        ("country", TEXT),
        ("known_from", I64),
    ]
)
"""All accounts, row number = code."""

ACTIONS = pa.schema(
    [
        ("epoch", I64),
        ("id", TEXT),
        ("version", I64),
        ("action", I8),
        ("kind", I8),
        ("instrument", I32),
        ("numerator", I64),
        ("denominator", I64),
        ("amount", I64),
        ("price", I64),
        ("pay_date", I32),
    ]
)
"""The day's corporate actions and expiries, each in its newest version, cancelled ones included, in the order in which
they first came. ``epoch``: the epoch before whose events an action applies."""

RATES = pa.schema(
    [("kind", I8), ("currency", TEXT), ("instrument", I32), ("tenor_days", I64), ("ex_date", I32), ("value", I64)]
)
"""All zero rates and expected dividends in force."""

CLOSES = pa.schema([("day", I32), ("instrument", I32), ("price", I64)])
"""Closes of the history, by day then instrument."""

POLICIES = pa.schema(
    [
        ("id", TEXT),
        ("kind", TEXT),
        ("scope", TEXT),
        ("metric", TEXT),
        ("amber", I64),
        ("red", I64),
        ("amount", I64),
        ("share", I64),
        ("owner", TEXT),
        ("why", TEXT),
        ("valid_from", I32),
        ("valid_to", I32),
    ]
)
"""All limits and add-ons, by id; money and shares as unscaled micros and ppm, 0 = not given."""

QUARANTINE = pa.schema(
    [
        ("epoch", I64),
        ("topic", TEXT),
        ("partition", I32),
        ("ordinal", I64),
        ("offset", I64),
        ("reason", TEXT),
        ("detail", TEXT),
        ("event", TEXT),
        ("payload_digest", TEXT),
    ]
)
"""Events that were refused: where, why, the id they name where it can be read, and a digest of what."""

_EVENT = [
    ("epoch", I64),
    ("ordinal", I64),
    ("partition", I32),
    ("offset", I64),
    ("key_high", pa.uint64()),
    ("key_low", pa.uint64()),
    ("id", TEXT),
    ("version", I64),
    ("action", I8),
    ("account", I32),
]
"""``epoch``: when it takes effect; ``ordinal``: its number in its raw partition; key: 128-bit hash of feed and id."""

TRADES = pa.schema(
    [
        *_EVENT,
        ("instrument", I32),
        ("kind", I8),
        ("quantity", I64),
        ("price", I64),
        ("fee", I64),
        ("event_time", I64),
        ("day", I32),
        ("settle_date", I32),
        ("counterparty", TEXT),
        ("venue", TEXT),
    ]
)
"""Accepted trades; ``quantity`` signed: bought positive."""

CASH = pa.schema(
    [*_EVENT, ("kind", I8), ("currency", TEXT), ("amount", I64), ("settle_date", I32), ("short_proceeds", I64)]
)
"""Accepted cash movements."""

CUSTODY = pa.schema(
    [
        *_EVENT,
        ("instrument", I32),
        ("kind", I8),
        ("location", TEXT),
        ("quantity", I64),
        ("cost", I64),
        ("since", I32),
        ("counterparty", TEXT),
        ("account_kind", I8),
        ("sale", I8),
    ]
)
"""Accepted opening positions and movements of the stock record; ``sale`` is a capital/inputs.py Sale."""

FIRM = pa.schema(
    [
        *_EVENT,
        ("line", TEXT),
        ("currency", TEXT),
        ("amount", I64),
        ("counterparty", TEXT),
        ("instrument", I32),
        ("since", I32),
        ("due", I32),
        ("reference", TEXT),
        ("account_kind", I8),
        ("secured", I64),
        ("party", I8),
    ]
)
"""Accepted changes of the firm's balance sheet; ``party`` is a capital/inputs.py Party."""

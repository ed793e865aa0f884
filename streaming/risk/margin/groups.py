"""Which positions may offset each other under portfolio margin: class, product and portfolio groups.

The clearing house publishes three lists: class groups (which underlyings form one class, and its product group),
product groups (the share of gains that offsets, and the scan moves by kind of account) and portfolio groups (the
product groups that offset again, by a smaller share). :func:`parse_groups` reads them, :func:`assign_groups` puts
every instrument in its groups; without lists the defaults of the rulebook apply.
"""

import csv
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import IntEnum
from importlib import resources
from io import StringIO

import numpy as np

from streaming.risk.money import MICRO
from streaming.risk.reference import Instruments, Kind, UnderlyingClass, one_of
from streaming.risk.rulebook import Rules

_BROAD = (UnderlyingClass.BROAD_INDEX, UnderlyingClass.BROAD_INDEX_HIGH_CAP, UnderlyingClass.LEVERAGED_BROAD)
_LEVELS = ("class", "product", "portfolio")
_CLASS, _PRODUCT, _PORTFOLIO = range(3)
_Member = tuple[int, str]
"""Level and name: what stands alone keeps its level and never mixes with a group that happens to have its name."""

_HIGH_CAP_PRODUCT, _BROAD_PORTFOLIO = "BROAD INDEX, HIGH CAPITALISATION", "BROAD INDICES"
_PERCENT = 10_000
"""ppm in one percent: the lists state percentages."""


class GroupError(ValueError):
    """A list of the clearing house that cannot be used: list, line, what was expected, what was found."""


class Moves(IntEnum):
    """Whose scan moves: the columns of the product group list."""

    CUSTOMER = 0
    """Customer portfolio margin, FINRA 4210(g)."""
    BROKER_DEALER = 1
    """Theoretical haircut, 15c3-1a(b)(1), of a broker-dealer that is not a market maker."""
    MARKET_MAKER = 2


@dataclass(frozen=True, slots=True)
class ProductGroup:
    """One row of the product group list. Shares and moves in ppm; ``moves[kind] = (up, down)``, both positive."""

    name: str
    share: int
    moves: Mapping[Moves, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class GroupLists:
    """The three published lists, checked against each other."""

    class_of: Mapping[str, str]
    """Underlying symbol to class group; a class's own name is one of its symbols."""
    product_of: Mapping[str, str]
    """Class group to product group; a class that stands alone is absent."""
    products: Mapping[str, ProductGroup]
    portfolio_of: Mapping[str, str]
    """Product group to portfolio group, where there is one."""
    portfolio_share: Mapping[str, int]
    version: str
    """SHA-256 over the three texts, first 16 hex digits."""


@dataclass(frozen=True, slots=True)
class MarginGroups:
    """Every instrument's groups, as codes into three levels; a group that stands alone is a level of its own.

    ``class_group[instrument]``, ``product_group[class]`` and ``portfolio_group[product]`` lead upwards. Requirements
    arise at the top; ``level`` says what the top group is: a class or product that stands alone, or a portfolio group.
    """

    class_group: np.ndarray
    class_name: np.ndarray
    product_group: np.ndarray
    product_name: np.ndarray
    product_share: np.ndarray
    """int64 ppm of gains that offset losses between the classes of a product group, at the same point."""
    portfolio_group: np.ndarray
    portfolio_name: np.ndarray
    portfolio_share: np.ndarray
    level: np.ndarray
    """Text by portfolio-group code: ``class``, ``product`` or ``portfolio``."""
    version: str
    moves: np.ndarray
    """[product, kind of :class:`Moves`, up and down]: published scan moves in ppm; 0 where none are listed."""


def parse_groups(class_groups: str, product_groups: str, portfolio_groups: str) -> GroupLists:
    """The clearing house's three lists (CSV text with a heading row; unknown columns are ignored).

    Columns: ``class_group, symbol, product_group`` (empty product group = stands alone);
    ``product_group, offset_percent`` and ``{customer,broker_dealer,market_maker}_{up,down}_percent``;
    ``portfolio_group, offset_percent, product_group``. Percentages are positive, at most 100.

    Raises:
        GroupError: A column is missing, a value is out of range, or two lines disagree.
    """
    products: dict[str, ProductGroup] = {}
    for where, row in _rows(product_groups, "product groups", ("product_group", "offset_percent", *_MOVE_COLUMNS)):
        moves = {kind: (_percent(row, up, where), _percent(row, down, where)) for kind, (up, down) in _MOVES.items()}
        if any(move == 0 for pair in moves.values() for move in pair):
            raise GroupError(f"{where}: expected moves above 0 percent, found 0")
        group = ProductGroup(row["product_group"], _percent(row, "offset_percent", where), moves)
        _put_once(products, group.name, group, where, "product group")
    class_of, product_of = _classes(class_groups, products)
    portfolio_of: dict[str, str] = {}
    shares: dict[str, int] = {}
    for where, row in _rows(
        portfolio_groups, "portfolio groups", ("portfolio_group", "offset_percent", "product_group")
    ):
        if row["product_group"] not in products:
            raise GroupError(f"{where}: expected a listed product group, found {row['product_group']!r}")
        _put_once(portfolio_of, row["product_group"], row["portfolio_group"], where, "product group")
        share = _percent(row, "offset_percent", where)
        if shares.setdefault(row["portfolio_group"], share) != share:
            raise GroupError(f"{where}: expected one offset for {row['portfolio_group']!r}, found two")
    content = "\x00".join((class_groups, product_groups, portfolio_groups))
    version = hashlib.sha256(content.encode()).hexdigest()[:16]
    return GroupLists(class_of, product_of, products, portfolio_of, shares, version)


def sample_groups() -> GroupLists:
    """The sample lists that ship with the code: well-known indices and funds, in the published layout."""
    folder = resources.files(__package__) / "data"
    names = ("class_groups.csv", "product_groups.csv", "portfolio_groups.csv")
    return parse_groups(*((folder / name).read_text("utf-8") for name in names))


def assign_groups(instruments: Instruments, rules: Rules, lists: GroupLists | None = None) -> MarginGroups:
    """Every instrument's class, product and portfolio group.

    A class is an underlying and everything that delivers into it; an unleveraged fund on an index whose ``underlying``
    names that index shares its class. With ``lists`` the published membership and shares apply. Without, broad indices
    of high capitalisation offset at 90%, broad indices across groups at 75%, everything else stands alone
    (portfolio_margin.offset.*).

    Raises:
        GroupError: A list puts two single stocks in one product group.
    """
    head = _class_heads(instruments, lists)
    heads, class_group = np.unique(head, return_inverse=True)
    names = [_class_name(str(instruments.id[code]), lists) for code in heads]
    # Two symbols of one listed class have the same head, so names are unique.
    if lists is None:
        product_of, share_of, portfolio_of, portfolio_share = _default_products(instruments, heads, names, rules)
    else:
        _refuse_joined_stocks(instruments, heads, names, lists)
        product_of = {(_CLASS, name): group for name, group in lists.product_of.items()}
        portfolio_of = {(_PRODUCT, name): group for name, group in lists.portfolio_of.items()}
        share_of, portfolio_share = (lambda name: lists.products[name].share), lists.portfolio_share.__getitem__
    classes = [(_CLASS, name) for name in names]
    product_group, products, product_share = _next_level(classes, product_of, share_of, _PRODUCT)
    portfolio_group, portfolios, shares = _next_level(products, portfolio_of, portfolio_share, _PORTFOLIO)
    moves = np.zeros((len(products), len(Moves), 2), dtype=np.int64)
    for code, (level, name) in enumerate(products):
        if lists is not None and level == _PRODUCT:
            moves[code] = [lists.products[name].moves[kind] for kind in Moves]
    return MarginGroups(
        class_group.astype(np.int32),
        np.array(names, dtype=object),
        product_group,
        np.array([name for _, name in products], dtype=object),
        product_share,
        portfolio_group,
        np.array([name for _, name in portfolios], dtype=object),
        shares,
        np.array([_LEVELS[level] for level, _ in portfolios], dtype=object),
        "rulebook defaults" if lists is None else lists.version,
        moves,
    )


_MOVES = {kind: tuple(f"{kind.name.lower()}_{side}_percent" for side in ("up", "down")) for kind in Moves}
_MOVE_COLUMNS = tuple(column for pair in _MOVES.values() for column in pair)


def _classes(text: str, products: Mapping[str, ProductGroup]) -> tuple[dict[str, str], dict[str, str]]:
    class_of: dict[str, str] = {}
    product_of: dict[str, str] = {}
    seen: dict[str, str] = {}
    for where, row in _rows(text, "class groups", ("class_group", "symbol", "product_group")):
        _put_once(class_of, row["symbol"], row["class_group"], where, "symbol")
        product = row["product_group"]
        if product and product not in products:
            raise GroupError(f"{where}: expected a listed product group, found {product!r}")
        if seen.setdefault(row["class_group"], product) != product:
            raise GroupError(f"{where}: expected one product group for class {row['class_group']!r}, found two")
        if product:
            product_of[row["class_group"]] = product
    for name in seen:
        class_of.setdefault(name, name)
    return class_of, product_of


def _rows(text: str, name: str, columns: tuple[str, ...]) -> Iterable[tuple[str, dict[str, str]]]:
    reader = csv.DictReader(StringIO(text))
    missing = [column for column in columns if column not in (reader.fieldnames or ())]
    if missing:
        raise GroupError(f"{name}: expected columns {list(columns)}, missing {missing}")
    for row in reader:
        where = f"{name}, line {reader.line_num}"
        values = {column: (row[column] or "").strip() for column in columns}
        empty = [column for column in columns if not values[column] and (name, column) != _MAY_BE_EMPTY]
        if empty:
            raise GroupError(f"{where}: expected a value in {empty}, found none")
        yield where, values


_MAY_BE_EMPTY = ("class groups", "product_group")


def _percent(row: Mapping[str, str], column: str, where: str) -> int:
    try:
        value = Decimal(row[column])
    except InvalidOperation:
        raise GroupError(f"{where}: expected a percentage in {column}, found {row[column]!r}") from None
    scaled = value * _PERCENT
    if not value.is_finite() or not 0 <= value <= 100 or scaled != scaled.to_integral_value():
        raise GroupError(f"{where}: expected 0 to 100 percent, four decimals, in {column}, found {row[column]!r}")
    return int(scaled)


def _put_once(table: dict, key: str, value: object, where: str, what: str) -> None:
    if key in table:
        raise GroupError(f"{where}: expected each {what} once, found {key!r} again")
    table[key] = value


def _class_heads(instruments: Instruments, lists: GroupLists | None) -> np.ndarray:
    """The instrument code that stands for each instrument's class: the underlying, or its index."""
    underlying = np.where(instruments.kind == Kind.OPTION, instruments.underlying, np.arange(len(instruments)))
    leveraged = one_of(instruments.underlying_class, UnderlyingClass.LEVERAGED, UnderlyingClass.LEVERAGED_BROAD)
    follows = (instruments.kind == Kind.ETF) & ~leveraged
    index = np.where(follows, instruments.underlying, np.arange(len(instruments)))
    if lists is None:
        return index[underlying]
    first: dict[str, int] = {}
    own = index.copy()
    for code in np.unique(underlying):
        name = lists.class_of.get(str(instruments.id[code]))
        if name is not None:
            own[code] = first.setdefault(name, int(code))
    return own[own[underlying]]


def _class_name(symbol: str, lists: GroupLists | None) -> str:
    return symbol if lists is None else lists.class_of.get(symbol, symbol)


def _default_products(instruments: Instruments, heads: np.ndarray, names: list[str], rules: Rules) -> tuple:
    kinds = instruments.underlying_class[heads]
    high_cap = [kind == UnderlyingClass.BROAD_INDEX_HIGH_CAP for kind in kinds]
    product_of: dict[_Member, str] = {(_CLASS, n): _HIGH_CAP_PRODUCT for n, high in zip(names, high_cap) if high}
    broad = [(_CLASS, name) for name, kind, high in zip(names, kinds, high_cap) if kind in _BROAD and not high]
    portfolio_of: dict[_Member, str] = dict.fromkeys([*broad, (_PRODUCT, _HIGH_CAP_PRODUCT)], _BROAD_PORTFOLIO)
    within = rules.ppm("portfolio_margin.offset.high_cap_broad_index")
    across = rules.ppm("portfolio_margin.offset.across_broad_indices")
    return product_of, lambda _: within, portfolio_of, lambda _: across


def _refuse_joined_stocks(instruments: Instruments, heads: np.ndarray, names: list[str], lists: GroupLists) -> None:
    stock_of: dict[str, str] = {}
    for code, name in zip(heads, names):
        product = lists.product_of.get(name)
        if product is None or instruments.kind[code] != Kind.STOCK:
            continue
        other = stock_of.setdefault(product, name)
        if other != name:
            raise GroupError(f"product group {product!r}: expected at most one single stock, found {other} and {name}")


def _next_level(
    members: list[_Member], group_of: Mapping[_Member, str], share_of: Callable[[str], int], level: int
) -> tuple[np.ndarray, list[_Member], np.ndarray]:
    """Each member's code in the next level, that level's members, and their shares (in full for what stands alone)."""
    keys = [(level, group_of[member]) if member in group_of else member for member in members]
    unique = sorted(set(keys))
    code = {key: number for number, key in enumerate(unique)}
    shares = [share_of(name) if of == level else MICRO for of, name in unique]
    return np.array([code[key] for key in keys], dtype=np.int32), unique, np.array(shares, dtype=np.int64)

"""What a day came to, for a reader at a terminal: everything from sealed tables, certificates and check results."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from orchestration.checks import failed
from orchestration.pipeline import Outcome
from orchestration.publish import figures
from streaming.cuts import SealedCut

_LARGEST = 5


def lines(outcome: Outcome) -> list[str]:
    """The summary, line by line."""
    cut = outcome.cut
    return [
        f"{cut.id} v{cut.version}, price set {cut.manifest['price_set']}, epoch {cut.manifest['epoch']:,}, "
        f"rule date {cut.manifest['versions']['rule_date']}",
        "",
        *_events(cut),
        *_proof(outcome.certificates),
        *checks(outcome.checks),
        *_margin(cut),
        *_stress(cut),
        *_capital(cut),
        *_publication(outcome),
    ]


def _row(name: str, text: str) -> str:
    return f"  {name:<22} {text}"


def money(value: Decimal) -> str:
    """Dollars, rounded once to the cent."""
    return f"{value:,.2f} USD"


def _events(cut: SealedCut) -> Iterator[str]:
    counts = cut.table("counts")
    total = {name: sum(counts[name].to_pylist()) for name in ("events", "duplicate", "quarantined", "parked")}
    yield _row("events in", f"{total['events']:,}")
    yield _row("duplicates", f"{total['duplicate']:,}")
    yield _row("quarantined", f"{total['quarantined']:,}")
    yield _row("parked", f"{total['parked']:,}")
    yield _row("accounts", f"{cut.table('accounts').num_rows:,}")


def _proof(certificates: Sequence[Mapping]) -> Iterator[str]:
    equal = sum(document["equal"] for document in certificates)
    yield _row("cuts", f"{len(certificates)} sealed, {equal} equal when replayed")
    if not certificates:
        return
    last = certificates[-1]
    for side in ("live", "replayed"):
        yield _row(f"digest {side}", f"{_joint_digest(last, side)} of {last['cut']} v{last['version']}")
    for document in certificates:
        if not document["equal"]:
            yield _row("", f"{document['cut']} v{document['version']} differs: plumbline replay names each value")


def _joint_digest(document: Mapping, side: str) -> str:
    """One digest over the digests of every table and state."""
    from hashlib import sha256

    parts = {**document["tables"], **document["states"]}
    return sha256("".join(f"{name} {parts[name][side]}\n" for name in sorted(parts)).encode()).hexdigest()


def checks(found: Mapping) -> Iterator[str]:
    """What failed, with the failing rows and the next step."""
    bad = failed(found["results"])
    yield _row("failed checks", f"{len(bad)} of {len(found['results'])}")
    for row in bad:
        yield _row("", f"{row['severity']}: {row['check']}: expected {row['expected']}, found {row['observed']}")
        if row.get("sample"):
            yield _row("", f"  rows: {_sample(row['sample'])}")
        if row.get("next_step"):
            yield _row("", f"  next: {row['next_step']}")


def _sample(sample: object) -> str:
    rows = sample if isinstance(sample, list) else [sample]
    shown = [", ".join(f"{k}={v}" for k, v in row.items()) if isinstance(row, Mapping) else str(row) for row in rows]
    return "; ".join(shown[:_LARGEST])


def _margin(cut: SealedCut) -> Iterator[str]:
    rows = [row for row in cut.table("margin").select(["account", "excess"]).to_pylist() if row["excess"] < 0]
    rows.sort(key=lambda row: (row["excess"], row["account"]))
    total = -sum((row["excess"] for row in rows), Decimal(0))
    yield _row("margin deficits", f"{len(rows)} accounts, {money(total)}")
    for row in rows[:_LARGEST]:
        yield _row("", f"{row['account']:<12} {money(-row['excess']):>24}")


def _stress(cut: SealedCut) -> Iterator[str]:
    losses: dict[str, Decimal] = {}
    for row in cut.table("stress").select(["scenario", "loss"]).to_pylist():
        losses[row["scenario"]] = losses.get(row["scenario"], Decimal(0)) + row["loss"]
    if losses:
        worst = max(sorted(losses), key=losses.__getitem__)
        yield _row("worst stress", f"{worst}: loss of all accounts {money(losses[worst])}")


def _capital(cut: SealedCut) -> Iterator[str]:
    rows = {name: figure["value"] for name, figure in figures(cut).items()}
    for name, label in (("net_capital", "net capital"), ("required", "required"), ("excess", "excess")):
        if name in rows:
            yield _row(label, money(rows[name]))


def _publication(outcome: Outcome) -> Iterator[str]:
    published = outcome.published
    if published is None:
        yield _row("published", "nothing: the gate is shut")
        return
    yield _row("published", f"v{published.version}" + ("" if published.fresh else " (as before)"))
    for path in published.files:
        yield _row("", str(path))

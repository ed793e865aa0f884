"""The sealed cuts of a business day and what is made of them. Every asset calls the pipeline; none computes."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import dagster as dg

from orchestration.console import checks, lineage, metadata, stages, streams
from orchestration.console.checks import CHECKS
from orchestration.console.desk import Desk
from orchestration.console.partitions import (
    DATE,
    END_OF_DAY,
    TIME,
    business_days,
    day_before,
    intraday_cuts,
    to_date,
)
from orchestration.console.topology import topology
from orchestration.console.versions import code_version
from orchestration.errors import UserError
from orchestration.progress import Silent

CUTS, REPORTS = "cuts", "reports"
RISK, FINANCE, CONTROL = "team:risk", "team:regulatory-reporting", "team:control"
MAX_RUNTIME_S = 1800
END_OF_DAY_KEY, INTRADAY_KEY = dg.AssetKey("end_of_day"), dg.AssetKey("intraday_cut")
CERTIFICATE_KEY, LEDGER_KEY = dg.AssetKey("certificate"), dg.AssetKey("ledger")
BOOKS = {
    "stress": ("stress_firm", RISK, "Scenario losses of accounts and firm: `stress.xlsx`."),
    "margin": ("margin", RISK, "Requirements, excess and calls of every account: `margin.xlsx`."),
    "capital": ("capital_lines", FINANCE, "Net capital, reserve and early warnings: `capital.xlsx`."),
}
"""Workbook -> the sealed table it leads with, who owns it, what it is."""
_FRESH = dg.FreshnessPolicy.cron(
    deadline_cron="0 18 * * 1-5", lower_bound_delta=timedelta(hours=4), timezone="America/New_York"
)
_BEFORE = dg.AssetDep(END_OF_DAY_KEY, partition_mapping=day_before)


def _day(context: dg.AssetExecutionContext) -> date:
    return date.fromisoformat(context.partition_key)


def _columns(name: str) -> dict[str, Any]:
    return {"dagster/column_schema": lineage.schema(name), "dagster/column_lineage": lineage.lineage(name)}


def _version(cut) -> dg.DataVersion:
    """Equal data have equal versions: the sealed manifest's digest."""
    from orchestration.checks import manifest_digest

    return dg.DataVersion(manifest_digest(cut))


@dg.asset(
    key=INTRADAY_KEY,
    partitions_def=intraday_cuts,
    deps=[streams.job_key(name) for name in topology().jobs],
    group_name=CUTS,
    owners=[RISK],
    kinds={"beam", "deltalake"},
    code_version=code_version(),
)
def intraday_cut(context: dg.AssetExecutionContext, desk: Desk) -> dg.MaterializeResult:
    """A half-hourly cut of the session: positions, P&L, core stress and margin as of one epoch, sealed."""
    keys = context.partition_key
    assert isinstance(keys, dg.MultiPartitionKey)
    day, name = date.fromisoformat(keys.keys_by_dimension[DATE]), keys.keys_by_dimension[TIME]
    with stages.telling(), desk.turn(day) as work:
        cut = stages.seal_cut(work, desk, day, name)
    found = metadata.of_cut(cut) | metadata.of_margin(cut)
    return dg.MaterializeResult(metadata=found, data_version=_version(cut))


@dg.asset(
    key=END_OF_DAY_KEY,
    partitions_def=business_days,
    deps=[
        _BEFORE,
        dg.AssetDep(INTRADAY_KEY, partition_mapping=to_date),
        *(streams.job_key(name) for name in topology().jobs),
    ],
    group_name=CUTS,
    owners=[RISK],
    kinds={"beam", "deltalake"},
    code_version=code_version(),
    freshness_policy=_FRESH,
)
def end_of_day(context: dg.AssetExecutionContext, desk: Desk) -> dg.MaterializeResult:
    """The day's last cut, sealed. Starts from the end of day before; materialised again it seals what came since as the
    next version: a restatement, with the changed cells in the metadata."""
    day = _day(context)
    with stages.telling(), desk.turn(day) as work, stages.watched(work, day):
        cut = stages.seal_cut(work, desk, day, END_OF_DAY)
        found = metadata.of_cut(cut)
        if cut.version > 1:
            from streaming.cuts import open_cut

            found |= metadata.of_difference(open_cut(cut.folder, cut.id, cut.version - 1), cut)
    return dg.MaterializeResult(metadata=found, data_version=_version(cut))


@dg.asset(
    key=CERTIFICATE_KEY,
    partitions_def=business_days,
    deps=[END_OF_DAY_KEY],
    group_name=CUTS,
    owners=[CONTROL],
    kinds={"beam", "json"},
    code_version=code_version(),
    check_specs=[
        dg.AssetCheckSpec(
            "live_equals_replayed",
            asset=CERTIFICATE_KEY,
            blocking=True,
            description="Every table and state of every cut of the day has the same digest, live and replayed.",
            partitions_def=business_days,
        )
    ],
)
def certificate(context: dg.AssetExecutionContext, desk: Desk) -> Iterator[Any]:
    """The bounded replay of the day in another process, from raw events alone, compared with what is sealed."""
    day = _day(context)
    with stages.telling(), desk.turn(day) as work, stages.watched(work, day):
        cut = stages.end_of_day(work, day)
        documents = stages.certify(work, day)
    found = metadata.of_certificates(documents)
    yield dg.MaterializeResult(metadata=found, data_version=_version(cut))
    unequal = [document["cut"] for document in documents if not document["equal"]]
    yield dg.AssetCheckResult(
        passed=bool(documents) and not unequal,
        check_name="live_equals_replayed",
        description=f"differ: {', '.join(unequal)}" if unequal else None,
        metadata={"cuts": len(documents), "unequal": ", ".join(unequal) or "none"},
    )


@dg.asset(
    key=CHECKS,
    partitions_def=business_days,
    deps=[CERTIFICATE_KEY],
    group_name=CUTS,
    owners=[CONTROL],
    kinds={"greatexpectations"},
    code_version=code_version(),
    check_specs=checks.specs(),
)
def expectation_checks(context: dg.AssetExecutionContext, desk: Desk) -> Iterator[Any]:
    """Great Expectations over the sealed end of day, in one validation run; the gate reads the stored results."""
    from orchestration import edge, pipeline
    from orchestration.gate import gate

    day = _day(context)
    with stages.telling(), desk.turn(day) as work:
        cut = stages.end_of_day(work, day)
        rows = pipeline.check(work.home, cut, Silent())["results"]
        if checks.incomplete(rows):
            rows = pipeline.check(work.home, cut, Silent(), again=True)["results"]
        decision = gate(cut, work.home.ledger, edge.now())
    page = stages.site(desk, cut)
    found = checks.failures(rows) | {
        "gate": "open" if decision.is_open else "shut",
        "holds": "; ".join(f"{hold.check}: {hold.reason}" for hold in decision.holds) or "none",
        "overridden": ", ".join(decision.overridden) or "none",
        "data_docs": desk.link(page),
    }
    yield dg.MaterializeResult(metadata=found, data_version=_version(cut))
    yield from checks.results(rows, decision.overridden, desk.link(page))


_OF_BOOK = {"stress": metadata.of_stress, "margin": metadata.of_margin, "capital": metadata.of_capital}


@dg.multi_asset(
    name="publication",
    specs=[
        dg.AssetSpec(
            name,
            deps=[CHECKS],
            description=f"{text} Published together with the other two by one atomic swap, and only while the gate is "
            "open.",
            group_name=REPORTS,
            owners=[owner],
            kinds={"excel"},
            code_version=code_version(),
            metadata=_columns(leading),
            skippable=True,
            partitions_def=business_days,
        )
        for name, (leading, owner, text) in BOOKS.items()
    ],
    can_subset=True,
)
def publication(context: dg.AssetExecutionContext, desk: Desk) -> Iterator[dg.MaterializeResult]:
    """Build the workbooks of the sealed end of day and publish them; refuses while the gate is shut."""
    from orchestration import pipeline

    day = date.fromisoformat(context.partition_key)
    with stages.telling(), desk.turn(day) as work:
        cut = stages.end_of_day(work, day)
        made = pipeline.publish_cut(work.home, cut, Silent())
    for name in BOOKS:
        if dg.AssetKey(name) in context.selected_asset_keys:
            path = made.folder / f"{name}.xlsx"
            found = _OF_BOOK[name](cut) | {
                "cut": f"{cut.id} v{cut.version}",
                "published": f"v{made.version}" + ("" if made.fresh else ", as before"),
                "workbook": desk.link(path),
                "certificate": desk.link(made.folder / "certificate.json"),
                "bytes": path.stat().st_size,
                "dagster/uri": desk.url(path) or str(path),
            }
            yield dg.MaterializeResult(asset_key=name, metadata=found, data_version=_version(cut))


@dg.asset(
    partitions_def=business_days,
    deps=["capital"],
    group_name=REPORTS,
    owners=[FINANCE],
    kinds={"deltalake"},
    metadata=_columns("capital_lines"),
)
def reserve(context: dg.AssetExecutionContext, desk: Desk) -> dg.MaterializeResult:
    """The reserve formulas as of the day's close, looked at in the morning after: what is to be deposited."""
    return _look(context, desk, metadata.of_reserve)


@dg.asset(
    partitions_def=business_days,
    deps=["stress"],
    group_name=REPORTS,
    owners=[RISK],
    kinds={"deltalake"},
    metadata=_columns("var_backtest"),
)
def var_backtest(context: dg.AssetExecutionContext, desk: Desk) -> dg.MaterializeResult:
    """The firm's VaR through the price history, as sealed with the last day of the week."""
    return _look(context, desk, metadata.of_backtest)


def _look(context: dg.AssetExecutionContext, desk: Desk, of) -> dg.MaterializeResult:
    """Figures of a published cut; refuses while its gate is shut."""
    from orchestration import edge
    from orchestration.gate import gate

    with stages.telling(), desk.turn(_day(context)) as work:
        cut = stages.end_of_day(work, _day(context))
        gate(cut, work.home.ledger, edge.now()).require_open()
    return dg.MaterializeResult(metadata=of(cut) | {"cut": f"{cut.id} v{cut.version}"}, data_version=_version(cut))


@dg.asset(
    partitions_def=business_days,
    deps=[LEDGER_KEY],
    group_name=REPORTS,
    owners=[CONTROL],
    kinds={"zip"},
)
def evidence_pack(context: dg.AssetExecutionContext, desk: Desk) -> dg.MaterializeResult:
    """Everything behind the published version in one archive, which `plumbline verify` does again on another machine.
    Materialise it once the version is signed: the signatures go in."""
    from hashlib import sha256

    from orchestration import evidence
    from orchestration.publish import current
    from orchestration.signing import sign_off

    day = _day(context)
    with stages.telling(), desk.turn(day) as work:
        found = current(work.home.settings.out, day.isoformat())
        if found is None:
            raise UserError(f"{day}: expected a published version, found none; materialise the reports first")
        path, content = evidence.write_pack(work.home, found.folder)
        status = sign_off(work.home.ledger, found.folder).status
    digest = sha256(content).hexdigest()
    return dg.MaterializeResult(
        metadata={
            "pack": dg.MetadataValue.path(str(path)),
            "bytes": float(len(content)),
            "sha256": digest,
            "status": status,
        },
        data_version=dg.DataVersion(digest),
    )


@dg.asset(
    partitions_def=business_days,
    deps=list(BOOKS),
    group_name=REPORTS,
    owners=[CONTROL],
    kinds={"slack"},
)
def notifications(context: dg.AssetExecutionContext, desk: Desk) -> dg.MaterializeResult:
    """What failed checks, limits and early-warning tests have to say, brought to Slack, each message once.

    A shut gate ends a run before this; then the alerts sensor brings them.
    """
    day = _day(context)
    with stages.telling(), desk.turn(day) as work:
        found = stages.deliver(work.home.settings)
    return dg.MaterializeResult(metadata=found)


@dg.asset(
    key=LEDGER_KEY,
    partitions_def=business_days,
    deps=["notifications"],
    group_name=REPORTS,
    owners=[CONTROL],
    kinds={"json"},
)
def ledger(context: dg.AssetExecutionContext, desk: Desk) -> dg.MaterializeResult:
    """The chain of everything that was done, followed from its first entry."""
    day = _day(context)
    with stages.telling(), desk.turn(day) as work:
        found = work.home.ledger.verify()
        newest = work.home.ledger.entries()[-metadata.TOP :]
    rows = [
        {"number": one.number, "time": one.time, "kind": one.kind, "who": one.who, "hash": one.hash[:16]}
        for one in newest
    ]
    columns = {"number": "", "time": "", "kind": "", "who": "", "hash": "first digits"}
    return dg.MaterializeResult(
        metadata={"entries": float(found.entries), "head": found.head, "newest": metadata.table(rows, columns)}
    )


ASSETS: list[dg.AssetsDefinition | dg.AssetSpec] = [
    *streams.topics(), intraday_cut, end_of_day, certificate, expectation_checks, publication, reserve, var_backtest,
    evidence_pack, notifications, ledger,
]  # fmt: skip

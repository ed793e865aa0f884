"""A business day from events to published reports, stage by stage. Each stage takes up where a killed one stopped."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path

from orchestration import edge, generated
from orchestration.checks import manifest_digest, read_checks, run_checks
from orchestration.days import MarkedCut, end_of_day, marked_cuts, newest_versions, seal_ready
from orchestration.errors import UserError
from orchestration.gate import Decision, gate, overrides_of
from orchestration.ledger import Ledger
from orchestration.progress import Display
from orchestration.proof import Proof, Task, certificate, proving
from orchestration.publish import Published, publish
from orchestration.settings import Settings
from streaming.apps import chain
from streaming.cuts import SealedCut, open_cut
from streaming.engine.epochs import EpochIndex
from streaming.engine.runner import ShardHost, run_bounded
from streaming.engine.sealing import CutStore
from streaming.log.files import FilesLog


@dataclass(frozen=True)
class Home:
    """An opened home: its log with all topics, its sealed cuts, its ledger."""

    settings: Settings
    log: FilesLog
    index: EpochIndex
    store: CutStore
    ledger: Ledger

    @classmethod
    def open(cls, settings: Settings) -> "Home":
        log = FilesLog(settings.log)
        log.create(chain.topics())
        return cls(settings, log, EpochIndex(log), CutStore(settings.store), Ledger(settings.ledger))

    def record(self, kind: str, what: Mapping) -> None:
        self.ledger.append(kind, edge.user(), what, edge.now())

    def sealed(self, cut: MarkedCut) -> SealedCut:
        return open_cut(self.settings.store, cut.id, cut.version)

    def cuts(self, day: date) -> list[MarkedCut]:
        """Every version of the day's cuts; UserError when the clock has marked none."""
        found = marked_cuts(self.index, day)
        if not found:
            known = sorted({cut.epoch.day.isoformat() for cut in marked_cuts(self.index)})
            raise UserError(f"{day}: expected a day with events in {self.settings.log}, found {_listed(known)}")
        return found


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a day."""

    cut: SealedCut
    """The end of day, in its newest version."""
    certificates: Sequence[Mapping]
    """Of the newest version of every cut of the day."""
    checks: Mapping
    decision: Decision
    published: Published | None
    """None when the gate is shut."""


def run_day(home: Home, day: date, show: Display) -> Outcome:
    """Everything behind the closed epochs of a day: jobs, seal, proof, checks, gate, reports, publication."""
    cuts = newest_versions(home.cuts(day))
    home.record("run", {"date": day.isoformat(), "code": edge.code_version()})
    unproved = [cut for cut in cuts if _proof(home, cut) is None]
    with _proving(home, unproved) as proof:
        run_jobs(home, show)
        seal(home, show)
        sealed = home.sealed(cuts[-1])
        checks = check(home, sealed, show)
        if proof is not None:
            _certify(home, proof, unproved, show)
    certificates = [found for cut in cuts if (found := _proof(home, cut)) is not None]
    decision = gate(sealed, home.ledger, edge.now())
    published = publish_cut(home, sealed, show) if decision.is_open else None
    return Outcome(sealed, certificates, checks, decision, published)


def run_jobs(home: Home, show: Display) -> None:
    """The live jobs over every closed epoch, cut by cut."""
    end = home.index.refresh()
    shards = home.log.topics()["trades"]
    jobs = [
        [ShardHost(home.log, home.index, job, shard, shards) for shard in range(shards if job.sharded else 1)]
        for job in chain.jobs()
    ]
    begin = min(host.epoch for hosts in jobs for host in hosts)
    stops = [cut.epoch.number for cut in marked_cuts(home.index) if cut.epoch.number >= begin]
    stage = show.stage("apply epochs", max(end - begin, 0))
    for stop in [*stops, end - 1]:
        for hosts in jobs:
            run_bounded(hosts, stop)
        stage.advance(max(stop + 1 - begin, 0))
        begin = max(stop + 1, begin)
    stage.finish(f"{end:,} epochs")


def seal(home: Home, show: Display) -> list[MarkedCut]:
    """Seal what the jobs have sealed at their shards."""
    stage = show.stage("seal cuts")
    sealed = seal_ready(home.log, home.index, chain.jobs(), home.store)
    recorded = {entry.what["manifest"] for entry in home.ledger.entries("seal")}
    for cut in marked_cuts(home.index):
        if cut.version in home.store.versions(cut.id):
            digest = manifest_digest(home.sealed(cut))
            if digest not in recorded:
                home.record("seal", {"cut": cut.id, "version": cut.version, "manifest": digest})
    stage.finish(f"{len(sealed)} new")
    return sealed


def prove(home: Home, day: date, show: Display, cuts: Sequence[MarkedCut] = ()) -> list[Mapping]:
    """Replay sealed cuts of a day (all when none is named) from its opening, and certify them again."""
    wanted = list(cuts) or newest_versions(home.cuts(day))
    with _proving(home, wanted) as proof:
        return _certify(home, proof, wanted, show) if proof else []


def check(home: Home, cut: SealedCut, show: Display) -> Mapping:
    """Run the expectations over a sealed cut; done again only when they did not run to their end."""
    found = read_checks(cut)
    if found is not None and not found["error"] and found["manifest"] == manifest_digest(cut):
        return found
    stage = show.stage("check")
    found = run_checks(cut)
    failures = [row["check"] for row in found["results"] if not row["passed"]]
    home.record(
        "checks",
        {"cut": cut.id, "version": cut.version, "error": found["error"], "failed": failures},
    )
    stage.finish(found["error"] or f"{len(found['results'])} checks, {len(failures)} failed")
    return found


def publish_cut(home: Home, cut: SealedCut, show: Display) -> Published:
    """Build the reports of a cut and publish them; GateShutError while its gate is shut."""
    stage = show.stage("reports")
    made = publish(cut, home.settings.out, home.ledger, partial(_build, home, cut), edge.user(), edge.now())
    stage.finish(f"{made.folder}")
    return made


def _build(home: Home, cut: SealedCut, folder: Path) -> Mapping[str, Path]:
    import reports
    from reports.context import Context

    earlier = [other for other in marked_cuts(home.index) if other.epoch.number < cut.manifest["epoch"]]
    same_day = [other for other in newest_versions(earlier) if other.epoch.day.isoformat() == cut.id.partition("/")[0]]
    context = Context(
        certificate(home.settings.store, cut.id, cut.version),
        (read_checks(cut) or {}).get("results", []),
        [{"who": entry.who, **entry.what} for entry in overrides_of(cut, home.ledger, edge.now())],
        generated.sentences(home.settings),
        [home.sealed(other) for other in same_day if other.id != cut.id],
    )
    return reports.build(cut, folder, context)


def _proof(home: Home, cut: MarkedCut) -> Mapping | None:
    return certificate(home.settings.store, cut.id, cut.version)


def _proving(home: Home, cuts: Sequence[MarkedCut]) -> AbstractContextManager[Proof | None]:
    if not cuts:
        return nullcontext()
    return proving(home.settings, Task([(cut.id, cut.version) for cut in cuts], _opening(home, cuts[0])))


def _opening(home: Home, first: MarkedCut) -> tuple[str, int] | None:
    """The newest end of day before the day of a cut: the replay starts from its state."""
    before = [cut for cut in marked_cuts(home.index) if cut.epoch.day < first.epoch.day]
    if not before:
        return None
    cut = newest_versions(before)[-1]
    return (cut.id, cut.version) if cut.id == end_of_day(cut.epoch.day) else None


def _certify(home: Home, proof: Proof, cuts: Sequence[MarkedCut], show: Display) -> list[Mapping]:
    stage = show.stage("replay", len(cuts))
    proof.computed(lambda _: stage.advance())
    found = proof.certificates()
    for document in found:
        home.record("certificate", {"cut": document["cut"], "version": document["version"], "equal": document["equal"]})
    unequal = sum(not document["equal"] for document in found)
    stage.finish(f"{len(found)} cuts, {unequal} unequal")
    return found


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"

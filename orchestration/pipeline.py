"""A business day from events to published reports, stage by stage. Each stage takes up where a killed one stopped."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path

from expectations import Child
from orchestration import edge, generated
from orchestration.alerts import desk as alerts
from orchestration.checks import failed, manifest_digest, read_checks, run_checks
from orchestration.days import MarkedCut, end_of_day, marked_cuts, newest_versions, seal_ready
from orchestration.errors import UserError
from orchestration.gate import Decision, gate, overrides_of
from orchestration.ledger import Ledger
from orchestration.live import HOSTS, LOOP, Growing
from orchestration.progress import Display
from orchestration.proof import Proof, Task, certificate, proving
from orchestration.publish import Published, publish
from orchestration.settings import Settings
from streaming.apps import chain
from streaming.cuts import SealedCut, open_cut
from streaming.engine.epochs import EpochIndex
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

    def end_of_day(self, day: date) -> SealedCut:
        """The newest sealed version of a day's last cut."""
        return open_cut(self.settings.store, end_of_day(day))


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


@dataclass(frozen=True, slots=True)
class Beside:
    """The processes that work beside the jobs of a day."""

    proof: Proof
    child: Child


@contextmanager
def beside(settings: Settings) -> Iterator[Beside]:
    """Start them; they are ended with the block. What they import takes seconds: the sooner the better."""
    with Proof(settings) as proof, Child(_checks_folder(settings)) as child:
        yield Beside(proof, child)


def run_day(
    home: Home,
    day: date,
    show: Display,
    host: str = LOOP,
    started: Beside | None = None,
    growing: Growing | None = None,
) -> Outcome:
    """Everything behind the epochs of a day: jobs, seal, proof, checks, gate, reports, publication.

    ``started``: processes that were started before, for one run. ``growing``: what still appends the day; the jobs
    follow it.
    """
    if growing is None:
        home.cuts(day)  # a day without any is refused before anything is recorded
    home.record("run", {"date": day.isoformat(), "code": edge.code_version(), "host": host})
    with alerts.watching_run(home.settings, day, os.environ, edge.now):
        jobs = HOSTS[host](home.log, home.index)
        if growing is not None:
            jobs.follow(growing)
        cuts = newest_versions(home.cuts(day))
        unproved = _unproved(home, cuts)
        with _beside(home, started) if unproved else nullcontext() as working:
            if working is not None:
                working.proof.begin(_task(home, unproved))
            jobs.finish(show)
            seal(home, show)
            if working is not None:
                _certify(home, working.proof, unproved, show)
            sealed = home.sealed(cuts[-1])
            checks = check(home, sealed, show, child=working.child if working is not None else None)
        with alerts.delivering_beside(home.settings, os.environ):  # reports never wait for Slack
            certificates = [found for cut in cuts if (found := _proof(home, cut)) is not None]
            decision = gate(sealed, home.ledger, edge.now())
            published = publish_cut(home, sealed, show) if decision.is_open else None
    return Outcome(sealed, certificates, checks, decision, published)


def _beside(home: Home, started: Beside | None) -> AbstractContextManager[Beside]:
    return beside(home.settings) if started is None else nullcontext(started)


def run_jobs(home: Home, show: Display, host: str = LOOP) -> None:
    """The live jobs over every closed epoch, on a host of :data:`HOSTS`."""
    HOSTS[host](home.log, home.index).finish(show)


def run_proved(home: Home, day: date, show: Display) -> None:
    """The live jobs over every closed epoch with the replay of the day beside them; its cuts sealed and certified."""
    unproved = _unproved(home, newest_versions(home.cuts(day)))
    with proving(home.settings, _task(home, unproved)) as proof:
        run_jobs(home, show)
        seal(home, show)
        _certify(home, proof, unproved, show)


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


def prove(home: Home, day: date, show: Display, name: str | None = None) -> list[Mapping]:
    """Replay sealed cuts of a day and certify them again: all from its opening, or the one called ``name``."""
    wanted, start = to_prove(home, day, name)
    with proving(home.settings, Task([(cut.id, cut.version) for cut in wanted], start, apart=True)) as proof:
        return _certify(home, proof, wanted, show)


def to_prove(home: Home, day: date, name: str | None = None) -> tuple[list[MarkedCut], tuple[str, int] | None]:
    """The sealed cuts of a day, or the one called ``name``, and the sealed cut their replay starts from.

    An intraday cut alone starts from the state sealed before it, the end of day from the opening. UserError where there
    is no such cut, or it is not sealed.
    """
    of_day = home.cuts(day)
    wanted = newest_versions(of_day)
    start = opening(home, day)
    if name is not None:
        wanted = [cut for cut in wanted if cut.id == f"{day}/{name}"]
        if not wanted:
            known = ", ".join(cut.id.partition("/")[2] for cut in newest_versions(of_day))
            raise UserError(f"cut: expected one of {known}, found {name}")
        before = [cut for cut in of_day if cut.epoch.number < wanted[0].epoch.number]
        if wanted[0].id != end_of_day(day) and before:
            start = (before[-1].id, before[-1].version)
    unsealed = [str(cut) for cut in wanted if cut.version not in home.store.versions(cut.id)]
    if unsealed:
        raise UserError(f"{day}: expected sealed cuts (`plumbline run {day}`), found none of {', '.join(unsealed)}")
    return wanted, start


def certify(home: Home, day: date, show: Display) -> list[Mapping]:
    """Replay the sealed cuts of a day that have no certificate; the certificates of all its sealed ones."""
    cuts = [cut for cut in newest_versions(home.cuts(day)) if cut.version in home.store.versions(cut.id)]
    unproved = _unproved(home, cuts)
    if unproved:
        with proving(home.settings, replace(_task(home, unproved), apart=True)) as proof:
            _certify(home, proof, unproved, show)
    return [found for cut in cuts if (found := _proof(home, cut)) is not None]


def check(home: Home, cut: SealedCut, show: Display, again: bool = False, child: Child | None = None) -> Mapping:
    """Run the expectations over a sealed cut; where their results are there, only ``again``. Failures become alerts."""
    found = read_checks(cut)
    if found is None or again:
        found = _run_checks(home, cut, show, child)
    alerts.checked(home.settings, cut, found["results"], edge.now())
    return found


def _checks_folder(settings: Settings) -> Path:
    return settings.scratch / "checks"


def _run_checks(home: Home, cut: SealedCut, show: Display, child: Child | None) -> Mapping:
    stage = show.stage("check")
    before = earlier_cuts(home, cut)
    proof = certificate(home.settings.store, cut.id, cut.version)
    docs = home.settings.docs / cut.id / f"v{cut.version}"
    start = opening(home, date.fromisoformat(cut.manifest["business_date"]))
    day_before = open_cut(home.settings.store, *start) if start else None
    found = run_checks(
        cut, proof, before[-1] if before else None, day_before, _checks_folder(home.settings), docs, child
    )
    failures = [row["check"] for row in failed(found["results"])]
    home.record("checks", {"cut": cut.id, "version": cut.version, "failed": failures})
    stage.finish(f"{len(found['results'])} checks, {len(failures)} failed")
    return found


def publish_cut(home: Home, cut: SealedCut, show: Display) -> Published:
    """Build the reports of a cut and publish them; GateShutError while its gate is shut."""
    stage = show.stage("reports")
    made = publish(cut, home.settings.out, home.ledger, partial(_build, home, cut), edge.user(), edge.now())
    stage.finish(f"{made.folder}")
    return made


def earlier_cuts(home: Home, cut: SealedCut) -> list[SealedCut]:
    """The cuts of the same day before this one, each in its newest version, oldest first."""
    day = date.fromisoformat(cut.manifest["business_date"])
    before = [other for other in home.cuts(day) if other.epoch.number < cut.manifest["epoch"] and other.id != cut.id]
    return [home.sealed(other) for other in newest_versions(before)]


def _build(home: Home, cut: SealedCut, folder: Path) -> Mapping[str, Path]:
    import reports

    context = reports.Context(
        certificate(home.settings.store, cut.id, cut.version),
        (read_checks(cut) or {}).get("results", []),
        [{"who": entry.who, **entry.what} for entry in overrides_of(cut, home.ledger, edge.now())],
        generated.sentences(home.settings),
        earlier_cuts(home, cut),
    )
    before = opening(home, date.fromisoformat(cut.manifest["business_date"]))
    return reports.build(cut, folder, context, open_cut(home.settings.store, *before) if before else None)


def _unproved(home: Home, cuts: Sequence[MarkedCut]) -> list[MarkedCut]:
    return [cut for cut in cuts if _proof(home, cut) is None]


def _proof(home: Home, cut: MarkedCut) -> Mapping | None:
    return certificate(home.settings.store, cut.id, cut.version)


def _task(home: Home, cuts: Sequence[MarkedCut]) -> Task:
    """Replay these cuts of a day from its opening."""
    return Task([(cut.id, cut.version) for cut in cuts], opening(home, cuts[0].epoch.day))


def opening(home: Home, day: date) -> tuple[str, int] | None:
    """The newest end of day before a day: its replay starts from that state."""
    before = [cut for cut in marked_cuts(home.index) if cut.epoch.day < day]
    if not before:
        return None
    cut = newest_versions(before)[-1]
    return (cut.id, cut.version) if cut.id == end_of_day(cut.epoch.day) else None


def _certify(home: Home, proof: Proof, cuts: Sequence[MarkedCut], show: Display) -> list[Mapping]:
    stage = show.stage("replay", len(cuts))
    proof.computed(lambda _: stage.advance())
    found = proof.certificates()
    for document in found:
        record_certificate(home, document)
    unequal = sum(not document["equal"] for document in found)
    stage.finish(f"{len(found)} cuts, {unequal} unequal")
    return found


def record_certificate(home: Home, document: Mapping) -> None:
    """The ledger's entry of a certificate."""
    home.record("certificate", {name: document[name] for name in ("cut", "version", "equal")})


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"

"""The alerts of a home: where everybody else tells what happened, and from where it is delivered.

What only the clock's rules need is imported when they need it: a delivery should start fast.
"""

import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from orchestration import calendar
from orchestration.alerts import rules
from orchestration.alerts.alert import INFO, Alert
from orchestration.alerts.delivery import Delivered, Delivery
from orchestration.alerts.links import Links
from orchestration.alerts.outbox import SENT, Message, Outbox
from orchestration.alerts.settings import SlackAccess, house
from orchestration.alerts.slack import Channel, SlackChannel
from orchestration.ledger import Ledger
from orchestration.process import environment as process_environment
from orchestration.process import module_command
from orchestration.settings import Settings

if TYPE_CHECKING:
    from streaming.cuts import SealedCut
    from streaming.engine.epochs import EpochIndex
    from streaming.engine.frames import Frame
    from streaming.log import Log

HEARTBEAT, TEST = "heartbeat", "test"
_JOIN_S = 30
"""How long a run waits at its very end for the delivery beside it; what is not out by then waits for the next."""


def outbox_of(settings: Settings) -> Outbox:
    return Outbox(settings.home / "alerts.sqlite")


def checked(settings: Settings, cut: "SealedCut", results: Sequence[Mapping[str, Any]], at: datetime) -> None:
    """The checks of a cut's newest version are there: what failed goes into the outbox, and its limits and notices."""
    outbox = outbox_of(settings)
    outbox.observe(f"checks {cut.id}", rules.of_checks(cut, results), at)
    results_of_cut = [*rules.of_limits(cut), *rules.of_breaches(cut), *rules.of_notices(cut)]
    outbox.observe(f"results {cut.id}", results_of_cut, at)


@contextmanager
def watching_run(
    settings: Settings, day: date, environment: Mapping[str, str], now: Callable[[], datetime]
) -> Iterator[None]:
    """A run that raises is an alert, delivered before it ends; the next one that ends well is its recovery."""
    outbox = outbox_of(settings)
    try:
        yield
    except Exception as error:
        outbox.observe(f"run {day}", rules.of_run(day, error, now()), now())
        with delivering_beside(settings, environment):
            pass
        raise
    outbox.observe(f"run {day}", [], now())


def watch_clock(settings: Settings, at: datetime) -> None:
    """What is late or at risk, for every recent business date of the home."""
    from streaming.engine.epochs import EPOCHS, EpochIndex
    from streaming.log.files import FilesLog

    log = FilesLog(settings.log) if settings.log.exists() else None
    if log is None or EPOCHS not in log.topics():
        return
    index = EpochIndex(log)
    end = index.refresh()
    if end and _is_recent(index[end - 1].day, at):
        _watch_days(settings, index, at)


def watch_limits(settings: Settings, at: datetime) -> None:
    """The accounts beyond a limit at the newest price set; once a day's end of day is checked that speaks for it."""
    from orchestration.checks import read_checks
    from streaming.engine.epochs import EPOCHS, EpochIndex
    from streaming.log.files import FilesLog

    log = FilesLog(settings.log) if settings.log.exists() else None
    if log is None or not {EPOCHS, _LIMITED} <= set(log.topics()):
        return
    index = EpochIndex(log)
    end = index.refresh()
    day = index[end - 1].day if end else None
    sealed = _sealed(settings, day) if day is not None else None
    if day is not None and _is_recent(day, at) and (sealed is None or read_checks(sealed) is None):
        found = [row for shard in range(log.topics()[_LIMITED]) for row in _newest_breaches(log, shard, day)]
        outbox_of(settings).observe(f"limits {day}", rules.of_live_limits(day, found, at), at)


_LIMITED, _MESSAGES = "margin", 64
"""The topic with live rows of limits, and how many of its messages are read at once."""


def _newest_breaches(log: "Log", shard: int, day: date) -> list[Mapping[str, Any]]:
    """What a shard wrote at its newest price set, if that is one of the day."""
    for frame in _newest_first(log, _LIMITED, shard):
        if "breaches" in frame.tables:
            rows = frame.tables["breaches"].to_pylist()
            return [row for row in rows if row["price_set"].startswith(day.isoformat())]
    return []


def _newest_first(log: "Log", topic: str, partition: int) -> Iterator["Frame"]:
    from streaming.engine.frames import decode_frames, last_epoch

    messages: list[bytes] = []
    stop = log.end(topic, partition)
    while stop > 0:
        start = max(0, stop - _MESSAGES)
        for payload in reversed(log.read(topic, partition, start, stop).payloads):
            if messages and last_epoch(payload)[1]:
                yield from decode_frames(reversed(messages))
                messages = []
            messages.append(payload)
        stop = start
    if messages:
        yield from decode_frames(reversed(messages))


def _watch_days(settings: Settings, index: "EpochIndex", at: datetime) -> None:
    from orchestration.days import end_of_day, marked_cuts, newest_versions

    outbox, cuts = outbox_of(settings), marked_cuts(index)
    days = sorted({cut.epoch.day for cut in cuts})
    newest = next((found for day in reversed(days) if (found := _sealed(settings, day)) is not None), None)
    for day in days:
        if _is_recent(day, at):
            marked = newest_versions([cut for cut in cuts if cut.id == end_of_day(day)])
            progress = _progress(settings, day, marked[-1].version if marked else 0, newest)
            outbox.observe(f"clock {day}", rules.of_clock(progress, at), at)


def watch_lags(settings: Settings, lags: Mapping[str, float], at: datetime) -> None:
    """How far shards are behind the clock: ``job-shard`` -> seconds."""
    outbox_of(settings).observe("lags", rules.of_lags(lags, at), at)


def beat(settings: Settings, at: datetime) -> int:
    """A heartbeat into the outbox: the first of a date opens its thread. Its number."""
    minutes = house()["heartbeat"]["every_min"]
    alert = _note(
        HEARTBEAT, at, "The way from checks to this channel is alive.", f"a beat every {minutes} min", "alive"
    )
    return outbox_of(settings).say(HEARTBEAT, alert, at)


def test_message(settings: Settings, at: datetime) -> int:
    """A test message into the outbox. Its number."""
    alert = _note(TEST, at, "This is a test; nothing is wrong.", "a message in this channel", "this message")
    return outbox_of(settings).say(TEST, alert, at)


def last_beat(settings: Settings) -> Message | None:
    """The newest heartbeat that reached the channel."""
    beats = [m for m in outbox_of(settings).messages(SENT) if m.alert.check == HEARTBEAT]
    return beats[-1] if beats else None


def silent_for(settings: Settings, at: datetime) -> timedelta | None:
    """Since the last heartbeat that arrived; None when none ever did."""
    found = last_beat(settings)
    return at - found.created if found else None


def deliver(
    settings: Settings,
    environment: Mapping[str, str],
    who: str,
    now: Callable[[], datetime],
    channel: Channel | None = None,
) -> Delivered:
    """Bring everything due to Slack. UserError when the environment names no token or channel, or they are refused."""
    to = channel or SlackChannel(SlackAccess.of(environment))
    links = Links.of(environment)
    return Delivery(outbox_of(settings), to, Ledger(settings.ledger), links, who, now).run()


@contextmanager
def delivering_beside(settings: Settings, environment: Mapping[str, str]) -> Iterator[None]:
    """A delivery in a process beside what runs here; nothing here waits for Slack until it has ended itself."""
    if not SlackAccess.configured(environment):
        yield
        return
    settings.scratch.mkdir(parents=True, exist_ok=True)
    places = ["--home", str(settings.home.absolute()), "--out", str(settings.out.absolute())]
    with open(settings.scratch / "delivery.log", "ab") as said:
        process = subprocess.Popen(
            module_command("orchestration.cli", *places, "alerts", "deliver"),
            stdin=subprocess.DEVNULL, stdout=said, stderr=said, env=process_environment(),
        )  # fmt: skip
    try:
        yield
        with suppress(subprocess.TimeoutExpired):
            process.wait(_JOIN_S)
    finally:
        if process.poll() is None:
            process.kill()  # what it was at is looked up by the next delivery
        process.wait()


def _is_recent(day: date, at: datetime) -> bool:
    return at <= calendar.session(day).end_of_day + timedelta(days=house()["late"]["watch_days"])


def _progress(settings: Settings, day: date, version: int, newest: "SealedCut | None") -> rules.Progress:
    from orchestration.checks import read_checks
    from orchestration.publish import current

    sealed = _sealed(settings, day)
    is_checked = sealed is not None and sealed.version == version and read_checks(sealed) is not None
    published = current(settings.out, day.isoformat()) is not None
    missing = rules.reserve_shortfalls(sealed, newest or sealed) if sealed is not None else {}
    return rules.Progress(day, is_checked, published, missing)


def _sealed(settings: Settings, day: date) -> "SealedCut | None":
    from orchestration.days import end_of_day
    from streaming.cuts import UnknownCutError, open_cut

    try:
        return open_cut(settings.store, end_of_day(day))
    except UnknownCutError:
        return None


def _note(check: str, at: datetime, what: str, expected: str, found: str) -> Alert:
    local = at.astimezone(calendar.NEW_YORK)
    next_step = "Nothing to do. When beats stop coming, look at `plumbline alerts list`."
    when = local.isoformat(timespec="seconds")
    where = local.date().isoformat() if check == HEARTBEAT else when
    return Alert(check, where, INFO, what, when, expected, found, rules.PLATFORM, next_step)

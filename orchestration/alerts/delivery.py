"""Bringing what is due to the channel, each message once, with an entry in the ledger.

A message is marked as tried before its call, and as sent after it. Between the two a process may be killed or an
answer be lost; whoever takes the message up again looks for it in the channel by the id in its metadata, and posts only
when it is not there. One delivery at a time works on an outbox.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from orchestration.alerts.links import Links
from orchestration.alerts.message import headline, payload
from orchestration.alerts.outbox import REFUSED, Message, Outbox
from orchestration.alerts.settings import house
from orchestration.alerts.slack import Channel, LimitedError, MessageRefusedError, SlackAccessError, UncertainError
from orchestration.ledger import Ledger

LEDGER_KIND = "delivery"


@dataclass(frozen=True, slots=True)
class Delivered:
    """What became of a delivery."""

    posted: int = 0
    found: int = 0
    """Were in the channel already: an earlier delivery did not hear of it."""
    refused: int = 0
    waiting: int = 0
    """Due, and left for the next delivery."""
    problem: str = ""
    """Why it ended early."""


@dataclass(slots=True)
class Delivery:
    """What a delivery works with; clock and sleep are arguments for tests."""

    outbox: Outbox
    channel: Channel
    ledger: Ledger
    links: Links
    who: str
    now: Callable[[], datetime]
    sleep: Callable[[float], None] = time.sleep

    def run(self) -> Delivered:
        """Everything that is due. SlackAccessError when token or channel are wrong: all of it waits."""
        with _turn(self.outbox.path) as mine:
            if not mine:
                return Delivered(waiting=len(self.outbox.due(self.now())), problem="another delivery is at work")
            self._record()
            done = self._all()
            self._record()
        return done

    def _all(self) -> Delivered:
        posted = found = refused = 0
        due = self.outbox.due(self.now())
        for place, message in enumerate(due):
            try:
                was_there = self._one(message)
            except MessageRefusedError as error:
                self.outbox.failed(message, str(error), None)
                refused += 1
                continue
            except (LimitedError, UncertainError) as error:
                wait = error.wait_s if isinstance(error, LimitedError) else house()["slack"]["backoff_max_s"]
                self.outbox.failed(message, str(error), self.now() + timedelta(seconds=wait))
                return Delivered(posted, found, refused, len(due) - place, str(error))
            except SlackAccessError as error:
                self.outbox.failed(message, str(error), self.now())
                raise
            posted, found = posted + (not was_there), found + was_there
            if place + 1 < len(due):
                self.sleep(house()["slack"]["pace_s"])
        return Delivered(posted, found, refused)

    def _one(self, message: Message) -> bool:
        """Bring one message there; whether it was there already."""
        slack = house()["slack"]
        retrying = Retrying(
            retry=retry_if_exception_type(UncertainError) | retry_if_exception_type(_BriefLimitError),
            wait=_wait,
            stop=stop_after_attempt(slack["attempts_max"]),
            sleep=self.sleep,
            reraise=True,
        )
        return retrying(self._try, message.number)

    def _try(self, number: int) -> bool:
        message = self.outbox.message(number)  # with its tries and its thread as of now
        since = message.first_try
        if since is not None:
            stamp = self._brief(lambda: self.channel.find(message.id, since, message.thread))
            if stamp:
                self.outbox.sent(message, self.channel.name, stamp)
                return True
        self.outbox.trying(message, self.now())
        stamp = self._brief(lambda: self.channel.post(payload(message, self.links)))
        self.outbox.sent(message, self.channel.name, stamp)
        return False

    def _brief(self, call: Callable[[], str]) -> str:
        """A wait that Slack asks for is waited here if it is short."""
        try:
            return call()
        except LimitedError as error:
            if error.wait_s > house()["slack"]["wait_max_s"]:
                raise
            raise _BriefLimitError(error.wait_s) from None

    def _record(self) -> None:
        """Ledger entries of what is done, once each: also when a delivery was killed before or after the entry."""
        messages = self.outbox.unrecorded()
        if not messages:
            return
        known = {entry.what["message"] for entry in self.ledger.entries(LEDGER_KIND)}
        for message in messages:
            if message.id not in known:
                what = {
                    "message": message.id,
                    "said": headline(message),
                    "channel": message.channel,
                    "stamp": message.stamp,
                    "attempts": message.attempts,
                    "outcome": message.problem if message.state == REFUSED else "delivered",
                }
                self.ledger.append(LEDGER_KIND, self.who, what, self.now())
            self.outbox.recorded(message)


class _BriefLimitError(LimitedError):
    """Short enough to be waited for."""


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, LimitedError):
        return error.wait_s
    slack = house()["slack"]
    return wait_exponential_jitter(slack["backoff_first_s"], slack["backoff_max_s"])(state)


@contextmanager
def _turn(outbox: Path) -> Iterator[bool]:
    """Whether this process is the one that delivers from an outbox; a killed process holds nothing."""
    outbox.parent.mkdir(parents=True, exist_ok=True)
    with open(outbox.with_suffix(".lock"), "a") as file:
        try:
            flock(file, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True

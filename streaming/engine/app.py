"""What an application is, and how several run as one job."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from streaming.engine.epochs import Epoch
from streaming.engine.frames import sealed_topic
from streaming.engine.stretch import Stretch
from streaming.schema.raw import FEEDS

State = Any
"""A dataclass of arrays, tables, texts and whole numbers; fields marked ``locator`` stay out of its digest."""


class App(Protocol):
    """A deterministic function of the raw log and the epochs: state and a stretch of epochs in, state and rows out.

    ``apply`` may be given any consecutive epochs of which only the last is marked; state and rows must be the same
    however a run of epochs is divided into stretches. It must not keep references into the stretch.
    """

    @property
    def name(self) -> str: ...

    @property
    def inputs(self) -> tuple[str, ...]:
        """Raw topics, and names of applications whose rows it takes."""
        ...

    @property
    def sharded(self) -> bool: ...

    @property
    def state(self) -> type:
        """The dataclass of its state."""
        ...

    def empty(self, shard: int, shards: int) -> State:
        """The state of a new shard."""
        ...

    def apply(self, state: State, stretch: Stretch) -> tuple[State, Mapping[str, pa.Table]]:
        """The state after the stretch, and rows by table name; a table without ``epoch`` column belongs to its last."""
        ...

    def seal(self, state: State, epoch: Epoch) -> Mapping[str, pa.Table]:
        """The sealed tables of this shard as of ``epoch``, from the state alone; changes nothing."""
        ...


@dataclass(frozen=True)
class Job:
    """Applications that run as one: rows pass from one to the next without a topic between."""

    name: str
    apps: tuple[App, ...]
    publish: frozenset[str] = frozenset()
    """Applications whose rows are written to their topic, because another job or a screen reads them."""

    def __post_init__(self):
        if len({app.sharded for app in self.apps}) != 1:
            raise ValueError(f"job {self.name}: expected applications that are all sharded or all not")

    @property
    def sharded(self) -> bool:
        return self.apps[0].sharded

    def shards(self, count: int) -> range:
        """Its shards, where accounts lie in ``count`` of them."""
        return range(count if self.sharded else 1)

    @property
    def inputs(self) -> tuple[str, ...]:
        """What comes from outside, in order of first use."""
        own = {app.name for app in self.apps}
        return tuple(dict.fromkeys(name for app in self.apps for name in app.inputs if name not in own))

    @property
    def raw_inputs(self) -> tuple[str, ...]:
        return tuple(name for name in self.inputs if name in RAW_TOPICS)

    @property
    def app_inputs(self) -> tuple[str, ...]:
        return tuple(name for name in self.inputs if name not in RAW_TOPICS)

    def topics(self, shards: int) -> dict[str, int]:
        """The topics it writes, with their partitions."""
        count = len(self.shards(shards))
        names = [sealed_topic(app.name) for app in self.apps] + [
            app.name for app in self.apps if app.name in self.publish
        ]
        return dict.fromkeys(names, count)


RAW_TOPICS = frozenset(topic.name for topic in FEEDS)

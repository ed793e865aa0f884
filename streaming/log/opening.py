"""Open a log from a plain description, so that a job or a worker process is told where its log is in JSON.

``{"kind": "files", "folder": "/data/log"}`` or ``{"kind": "kafka", "settings": {"bootstrap.servers": "..."}}``, or one
over another: ``{"kind": "overlaid", "below": {...}, "own": {...}, "topics": ["trades", ...]}``.
"""

import json
from collections.abc import Mapping
from typing import Any

from streaming.log.files import FilesLog
from streaming.log.overlaid import OverlaidLog
from streaming.log.protocol import Log, LogError

LogSpec = Mapping[str, object]
"""Plain JSON: ``kind``, and what that kind of log needs."""


def open_log(spec: LogSpec | str, following: bool = False) -> Log:
    """The log that ``spec`` (or its JSON text) describes; LogError when it describes none.

    ``following``: for who runs for long and reads onwards; ends may then lag behind (see :mod:`streaming.log.kafka`).
    """
    found: dict[str, Any] = json.loads(spec) if isinstance(spec, str) else dict(spec)
    kind = found.pop("kind", None)
    try:
        if kind == "files":
            return FilesLog(**found)
        if kind == "kafka":
            from streaming.log.kafka import KafkaLog  # its client library is only needed here

            return KafkaLog(**found, following=following)
        if kind == "overlaid":
            below, own = (open_log(found.pop(name), following) for name in ("below", "own"))
            return OverlaidLog(below, own, **found)
    except (TypeError, KeyError) as error:
        raise LogError(f"log of kind {kind}: {error}") from None  # names the argument, never its value
    raise LogError(f"log: expected kind files, kafka or overlaid, found {kind!r}")

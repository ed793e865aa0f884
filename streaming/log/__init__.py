"""The log: append, read a span, transactions. `files` (embedded) and `kafka` behave alike, by one test suite."""

from streaming.log.protocol import (
    FencedError,
    Log,
    LogError,
    MissingOffsetsError,
    Partition,
    Record,
    Span,
    UnknownTopicError,
    Writer,
)

__all__ = [
    "FencedError",
    "Log",
    "LogError",
    "MissingOffsetsError",
    "Partition",
    "Record",
    "Span",
    "UnknownTopicError",
    "Writer",
]

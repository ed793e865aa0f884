"""The log: append, read a span, transactions. ``files`` (embedded) and ``kafka`` behave alike and share one test suite."""

from streaming.log.protocol import (
    FencedError,
    Log,
    LogError,
    MissingOffsetsError,
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
    "Record",
    "Span",
    "UnknownTopicError",
    "Writer",
]

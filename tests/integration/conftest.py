"""Fixtures of the integration tests."""

from stack_fixture import stack  # noqa: F401

"""Settings of the alerts: house values from ``house.toml``, channel and token from the environment."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from orchestration.errors import UserError

TOKEN_VARIABLE = "PLUMBLINE_SLACK_TOKEN"  # noqa: S105  the name of a variable
CHANNEL_VARIABLE = "PLUMBLINE_SLACK_CHANNEL"
API_VARIABLE = "PLUMBLINE_SLACK_API"
BASE_VARIABLE = "PLUMBLINE_BASE_URL"
SLACK_API = "https://slack.com/api/"


@dataclass(frozen=True, slots=True)
class SlackAccess:
    """Where to post and with what right. The token is never printed."""

    token: str = field(repr=False)
    channel: str
    """Id of the channel (C...): Slack's lookups want it, not the name."""
    api: str = SLACK_API

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "SlackAccess":
        """UserError naming the variable that is not set."""
        missing = [name for name in (TOKEN_VARIABLE, CHANNEL_VARIABLE) if not environment.get(name)]
        if missing:
            raise UserError(f"Slack: expected the environment variables {', '.join(missing)}, found none")
        api = environment.get(API_VARIABLE) or SLACK_API
        return cls(environment[TOKEN_VARIABLE], environment[CHANNEL_VARIABLE], api)

    @staticmethod
    def configured(environment: Mapping[str, str]) -> bool:
        return bool(environment.get(TOKEN_VARIABLE) and environment.get(CHANNEL_VARIABLE))


@cache
def house() -> Mapping[str, Any]:
    """The house settings by section."""
    return tomllib.loads(files("orchestration.alerts").joinpath("house.toml").read_text())

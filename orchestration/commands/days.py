"""What the commands about a day share: reading dates, telling outcomes."""

from datetime import date, datetime

import click

from orchestration.errors import UserError
from orchestration.pipeline import Outcome

GATE_SHUT = 2
UNEQUAL = 1


class Day(click.ParamType):
    """A business date, ``2020-03-16``."""

    name = "date"

    def convert(self, value, param, ctx) -> date:
        if isinstance(value, date):
            return value
        try:
            return date.fromisoformat(value)
        except ValueError:
            self.fail(f"expected a date such as 2020-03-16, found {value!r}", param, ctx)


class Moment(click.ParamType):
    """An instant: ISO 8601, New York time where it names no zone."""

    name = "time"

    def convert(self, value, param, ctx) -> datetime:
        from orchestration.calendar import NEW_YORK

        if isinstance(value, datetime):
            return value
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"expected a time such as 2020-03-16T10:45:00, found {value!r}", param, ctx)
        return found if found.tzinfo else found.replace(tzinfo=NEW_YORK)


host_option = click.option(
    "--host", type=click.Choice(["loop", "beam"]), default="loop", show_default=True, help="What runs the live jobs."
)


def tell(outcome: Outcome) -> None:
    """Print the summary; exit 1 when a cut is unequal, 2 when the gate is shut."""
    from orchestration import summary

    for line in summary.lines(outcome):
        click.echo(line)
    if any(not document["equal"] for document in outcome.certificates):
        raise SystemExit(UNEQUAL)
    if not outcome.decision.is_open:
        for hold in outcome.decision.holds:
            click.echo(f"gate shut: {hold.check}: {hold.reason}", err=True)
        raise SystemExit(GATE_SHUT)


def valid(make, *arguments, **named):
    """Call what checks its arguments; its complaint becomes the user's."""
    try:
        return make(*arguments, **named)
    except ValueError as error:
        raise UserError(str(error)) from None

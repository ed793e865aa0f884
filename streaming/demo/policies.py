"""The house's policies of the day: the limits that ship, and add-ons of which one is over and one has not begun."""

from datetime import timedelta

from streaming.demo.world import World
from streaming.risk.margin.limits import sample_limits
from streaming.risk.money import MICRO

_ADD_ONS = (
    (2, "account", {"amount": "250000"}, "credit risk", "audit of the fund's valuation is pending", -14, 46),
    (3, "client", {"share": "0.10"}, "credit risk", "redemptions announced for the quarter", -3, 28),
    (4, "account", {"amount": "1000000"}, "margin desk", "concentrated position, since reduced", -60, -3),
    (5, "account", {"amount": "500000"}, "margin desk", "new strategy from next week on", 7, 60),
)
"""Number of the client account, level, size, who, why, first and last day from the business date on."""


def rows(world: World) -> list[dict]:
    """One event a limit and an add-on; add-ons of accounts that a small day does not have are left out."""
    found = []
    for number, limit in enumerate(sample_limits()):
        sides = {side: str(value / MICRO) for side, value in (("amber", limit.amber), ("red", limit.red))}
        found.append({"id": f"LIMIT-{number:02d}", "kind": "limit", "scope": limit.scope, "metric": limit.metric,
                      **sides, "owner": limit.owner, "valid_from": str(limit.valid_from)})  # fmt: skip
    clients = {client.number: client for client in world.clients}
    for place, (number, level, size, who, why, first, last) in enumerate(_ADD_ONS):
        if number in clients:
            name = clients[number].id if level == "account" else clients[number].client
            since, until = (world.spec.date + timedelta(days=days) for days in (first, last))
            found.append({"id": f"ADD-ON-{place:02d}", "kind": "add_on", "scope": f"{level}:{name}", **size,
                          "owner": who, "why": why, "valid_from": str(since), "valid_to": str(until)})  # fmt: skip
    return found

"""Quiet hours: what may wait does."""

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from orchestration.alerts.settings import house


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From ``begin`` to ``end`` on the clocks of a zone; over midnight when ``end`` is the earlier. Equal = never."""

    zone: ZoneInfo
    begin: time
    end: time

    @classmethod
    def of_house(cls) -> "QuietHours":
        found = house()["quiet"]
        return cls(ZoneInfo(found["zone"]), time.fromisoformat(found["begin"]), time.fromisoformat(found["end"]))

    def covers(self, at: datetime) -> bool:
        now = at.astimezone(self.zone).time()
        if self.begin <= self.end:
            return self.begin <= now < self.end
        return now >= self.begin or now < self.end

    def not_before(self, at: datetime, critical: bool) -> datetime:
        """When a message that arises at ``at`` may go out."""
        if critical or not self.covers(at):
            return at
        local = at.astimezone(self.zone)
        ends = datetime.combine(local.date(), self.end, self.zone)
        return ends if ends > local else datetime.combine(local.date() + timedelta(days=1), self.end, self.zone)

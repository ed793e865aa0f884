"""Links from an alert to what it is about, all under one address: ``PLUMBLINE_BASE_URL``.

Under it lie ``docs/`` (Data Docs, a folder a version of a cut), ``out/`` (published reports), ``console/`` (Dagster).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from orchestration.alerts.alert import Alert
from orchestration.alerts.settings import BASE_VARIABLE

_WORKBOOKS = {"margin": "margin.xlsx", "limits": "margin.xlsx", "capital": "capital.xlsx", "notices": "capital.xlsx"}
_WORKBOOKS |= {"cutoff": "capital.xlsx"}
_OTHERWISE = "margin.xlsx"


@dataclass(frozen=True, slots=True)
class Links:
    """Builds links; none at all without a base address."""

    base: str = ""

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Links":
        return cls(environment.get(BASE_VARIABLE, "").rstrip("/"))

    def of_alert(self, alert: Alert) -> dict[str, str]:
        """Label -> address: the run, the check, Data Docs, the workbook."""
        if not self.base:
            return {}
        date = alert.where.partition("/")[0]
        workbook = _WORKBOOKS.get(alert.check.partition(".")[0], _OTHERWISE)
        found = {"run": self._to("console/runs", f"q[0]=tag:dagster/partition={date}")}
        if alert.version:
            docs = f"docs/{alert.where}/v{alert.version}"
            suite = alert.check.rpartition(".")[0]
            if alert.check.partition(".")[0] not in ("limits", "notices"):
                found["check"] = self._to(f"{docs}/checks/{suite}.html")
            found["Data Docs"] = self._to(f"{docs}/index.html")
        found["workbook"] = self._to(f"out/{date}/{workbook}")
        return found

    def _to(self, path: str, query: str = "") -> str:
        return f"{self.base}/{quote(path)}" + (f"?{quote(query, safe='=')}" if query else "")

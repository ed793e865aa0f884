"""Data quality of sealed cuts: what is expected, judged by Great Expectations.

``catalogue`` lists every check without importing Great Expectations (which takes seconds); ``run`` judges a cut in this
process, ``run_isolated`` in another with a time limit, ``docs`` writes Data Docs of the results.
"""

from expectations.check import CRITICAL, INFO, WARNING, Check, CheckResult, Suite
from expectations.isolated import Child, run_isolated
from expectations.running import catalogue, run
from expectations.site import docs

__all__ = [
    "CRITICAL", "INFO", "WARNING", "Check", "CheckResult", "Child", "Suite", "catalogue", "docs", "run",
    "run_isolated",
]  # fmt: skip

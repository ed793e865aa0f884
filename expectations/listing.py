"""Every check on one page: ``python -m expectations.listing > docs/expectations.md``."""

from expectations.running import SUITES, catalogue, suites

_HEAD = """# Expectations

Made from the suites by `python -m expectations.listing > docs/expectations.md`; a test holds it to them. Every suite
also has the check `rows`: it found something to judge (critical).
"""


def page(module: str = SUITES) -> str:
    """The page: a table a suite, with sentence, severity, owner and next step of every check."""
    counted = [check for _, check in catalogue(module).values()]
    parts = [_HEAD, f"{len(counted)} checks in {len(suites(module))} suites.\n"]
    for suite in suites(module):
        parts.append(f"## {suite.name}\nJudges {suite.text} (`{suite.table}`). Owner: {suite.owner}.\n")
        parts.append("| check | expects | severity | owner | next step |\n|---|---|---|---|---|")
        parts += [
            f"| `{c.name}` | {_cell(c.text)} | {c.severity} | {c.owner} | {_cell(c.next_step)} |" for c in suite.checks
        ]
        parts.append("")
    return "\n".join(parts)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    print(page(), end="")

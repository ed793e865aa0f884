"""Names of key figures, the same in every workbook's name box, its JSON and its documentation."""

import re

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)+")
_CELL_LIKE = re.compile(r"[a-z]{1,3}\d+|r\d*c\d*", re.IGNORECASE)


def defined_name(workbook: str, figure: str) -> str:
    """The defined name of a figure: ``margin_deficit``. ValueError where a spreadsheet would refuse it."""
    name = f"{workbook}_{figure}".lower()
    if not _NAME.fullmatch(name) or _CELL_LIKE.fullmatch(name):
        raise ValueError(f"defined name: expected lower-case words joined by _, found {name!r}")
    return name

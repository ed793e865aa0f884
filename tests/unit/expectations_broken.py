"""Suites that crash, end their process, hang, find nothing or are fine: what isolation must survive."""

import os
import time

import pandas as pd

from expectations.check import PLATFORM, WARNING, Check, Suite
from expectations.view import View


def _fine(view: View) -> pd.DataFrame:
    return pd.DataFrame({"value": [1, 2, 3]})


def _raises(view: View) -> pd.DataFrame:
    raise RuntimeError("no such thing")


def _ends_the_process(view: View) -> pd.DataFrame:
    os._exit(7)


def _hangs(view: View) -> pd.DataFrame:
    time.sleep(3_600)
    return _fine(view)


def _finds_nothing(view: View) -> pd.DataFrame:
    return _fine(view).iloc[:0]


def _suite(name, frame, kind="ExpectColumnValuesToBeBetween", column="value"):
    check = Check("positive", "A value is positive.", WARNING, PLATFORM, "Look.", kind,
                  {"column": column, "min_value": 1})  # fmt: skip
    return Suite(name, "counts", "three values", PLATFORM, frame, (check,))


SUITES = (
    _suite("fine.first", _fine),
    _suite("raises", _raises),
    _suite("ends", _ends_the_process),
    _suite("fine.second", _fine),
    _suite("hangs", _hangs),
    _suite("nothing", _finds_nothing),
    _suite("no_such_column", _fine, column="absent"),
    _suite("fine.third", _fine),
)

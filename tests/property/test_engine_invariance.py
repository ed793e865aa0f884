"""Nothing may depend on how epochs are grouped into stretches, polls or jobs (invariants I1, I2, I6)."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.kit import tiny_day
from tests.kit.tiny_day import ACCOUNTS, OPTION, STOCKS, TinyDay

_SETTINGS = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large]}
INSTRUMENTS = (*STOCKS, OPTION)


@st.composite
def events(draw) -> tuple[str, str, bytes]:
    kind = draw(
        st.sampled_from(["trade"] * 8 + ["correct", "cancel", "cash", "opening", "quote", "action", "bad", "new"])
    )
    account, instrument = draw(st.sampled_from(ACCOUNTS)), draw(st.sampled_from(INSTRUMENTS))
    number = draw(st.integers(0, 9))
    if kind in ("trade", "correct", "cancel"):
        # the account follows from the id, as in life: a correct comes under its original's account
        account, version = ACCOUNTS[number % len(ACCOUNTS)], 1 if kind == "trade" else draw(st.integers(2, 3))
        action = "new" if kind == "trade" else kind
        side, quantity = draw(st.sampled_from(["buy", "sell"])), draw(st.integers(1, 300))
        price = draw(st.sampled_from(["1.01", "10", "9.999999"]))
        payload = tiny_day.trade(
            f"T{number}", account, instrument, side, quantity, price, version=version, action=action
        )
        return "trades", account, payload
    if kind == "cash":
        version, action = draw(st.sampled_from([(1, "new"), (1, "new"), (2, "correct"), (3, "correct"), (2, "cancel")]))
        more = {"version": version, "action": action}
        id_ = f"C{number}-{account}"
        return "cash", account, tiny_day.cash(id_, account, draw(st.sampled_from(["5", "-7.25"])), **more)
    if kind == "opening":
        payload = tiny_day.opening(
            f"O{number}-{account}-{instrument}", account, instrument, draw(st.integers(-50, 50)), "77.77"
        )
        return "custody", account, payload
    if kind == "quote":
        return (
            "prices",
            "",
            tiny_day.quote(instrument, "9", draw(st.sampled_from(["10", "8"])), draw(st.integers(1, 99))),
        )
    if kind == "action":
        return "actions", "", draw(actions())
    if kind == "new":
        return "instruments", "", tiny_day.event(id="LATE", kind="stock", currency="USD")
    late = tiny_day.trade(f"L{number}", "A1", "LATE", "buy", 5, "3")
    return "trades", "A1", draw(st.sampled_from([b"{", b"[]", b'{"schema": 9}', late]))


@st.composite
def actions(draw) -> bytes:
    kind = draw(st.sampled_from(["split", "cash_dividend", "expiry"]))
    fields = {"id": f"CA{draw(st.integers(0, 3))}", "kind": kind, "instrument": OPTION if kind == "expiry" else "AAA"}
    version, action = draw(st.sampled_from([(1, "new"), (1, "new"), (2, "correct"), (3, "correct"), (2, "cancel")]))
    fields |= {
        "version": version,
        "action": action,
        "numerator": draw(st.integers(2, 3)),
        "denominator": 2,
        "amount": "0.25",
    }
    return tiny_day.event(**fields, price=draw(st.sampled_from(["11.5", "9"])))


@st.composite
def days(draw) -> list:
    steps = draw(
        st.lists(st.tuples(st.lists(events(), max_size=6), st.sampled_from(["", "", "", "set", "cut"])), max_size=12)
    )
    return [*steps, ([], "cut")]


def _run(steps, jobs, **limits) -> list:
    with tempfile.TemporaryDirectory() as folder:
        day = TinyDay(steps, jobs)
        log = day.write(Path(folder))
        try:
            return tiny_day.digests(tiny_day.run(log, jobs, **limits))
        finally:
            log.close()


@pytest.mark.soak
@settings(max_examples=200, **_SETTINGS)
@given(days(), st.integers(1, 5), st.integers(1, 8))
def test_digests_do_not_depend_on_polls_stretches_or_jobs(steps, epochs_max, events_max):
    whole = _run(steps, tiny_day.account_jobs())
    assert whole
    assert _run(steps, tiny_day.account_jobs(), epochs_max=epochs_max, events_max=events_max) == whole
    assert _run(steps, tiny_day.separate_jobs(), epochs_max=epochs_max, events_max=events_max) == whole


@settings(max_examples=100, **_SETTINGS)
@given(days())
def test_every_event_is_exactly_one_of_applied_duplicate_quarantined_parked(steps):
    with tempfile.TemporaryDirectory() as folder:
        jobs = tiny_day.account_jobs()
        log = TinyDay(steps, jobs).write(Path(folder))
        cuts = tiny_day.run(log, jobs)
        for cut in cuts:
            for row in cut.tables["counts"].to_pylist():
                outcomes = row["applied"] + row["duplicate"] + row["quarantined"] + row["parked"]
                assert row["events"] == outcomes, row
                assert row["events"] == cut.epoch.ends[row["topic"]][row["partition"]], row
        log.close()


@pytest.mark.soak
@settings(max_examples=3_000, **_SETTINGS)
@given(days(), st.integers(1, 5), st.integers(1, 8))
def test_digests_do_not_depend_on_polls_stretches_or_jobs_for_long(steps, epochs_max, events_max):
    whole = _run(steps, tiny_day.account_jobs())
    assert _run(steps, tiny_day.separate_jobs(), epochs_max=epochs_max, events_max=events_max) == whole

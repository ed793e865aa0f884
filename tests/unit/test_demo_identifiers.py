from datetime import date

import numpy as np
import pytest

from streaming.demo.clients import build as build_clients
from streaming.demo.identifiers import isin, lei, occ_symbol, random_characters
from streaming.demo.spec import small_day


def test_isin_has_the_check_digit_of_a_published_number():
    assert isin("US", "037833100") == "US0378331005"
    assert isin("GB", "000263494") == "GB0002634946"


def test_lei_has_the_check_digits_of_a_published_number():
    assert lei("HWUPKR0MPOU8FGXBT3") == "HWUPKR0MPOU8FGXBT394"


@pytest.mark.parametrize("client", build_clients(small_day()), ids=lambda client: client.id)
def test_every_generated_lei_passes_the_standards_own_test(client):
    digits = "".join(str(int(character, 36)) for character in client.lei)
    assert len(client.lei) == 20
    assert int(digits) % 97 == 1


def test_occ_symbol_has_twenty_one_characters():
    assert occ_symbol("SPXW", date(2020, 3, 16), "put", 2_387_500_000) == "SPXW  200316P02387500"
    assert len(occ_symbol("F", date(2021, 1, 15), "call", 500_000)) == 21


def test_random_characters_depend_only_on_the_stream():
    first, second = (random_characters(np.random.Generator(np.random.PCG64(7)), 12) for _ in range(2))
    assert first == second
    assert len(first) == 12

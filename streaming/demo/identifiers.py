"""Identifiers with right check digits. The ISINs and LEIs made here are generated: they name nobody."""

from datetime import date

import numpy as np

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def occ_symbol(root: str, expiry: date, right: str, strike_micros: int) -> str:
    """The 21-character symbol of a listed option: root, yymmdd, C or P, strike in thousandths."""
    return f"{root:<6}{expiry:%y%m%d}{right[0].upper()}{strike_micros // 1_000:08d}"


def isin(country: str, number: str) -> str:
    """Country and nine characters, with the check digit of ISO 6166 (Luhn over the letters' values)."""
    body = country + number
    digits = [int(d) for character in body for d in str(_ALPHABET.index(character))]
    doubled = [d * 2 if place % 2 == 0 else d for place, d in enumerate(reversed(digits))]
    total = sum(d // 10 + d % 10 for d in doubled)
    return f"{body}{-total % 10}"


def lei(prefix: str) -> str:
    """Eighteen characters, with the two check digits of ISO 17442 (modulo 97-10)."""
    number = int("".join(str(_ALPHABET.index(character)) for character in prefix) + "00")
    return f"{prefix}{98 - number % 97:02d}"


def random_characters(random: np.random.Generator, count: int) -> str:
    return "".join(_ALPHABET[code] for code in random.integers(0, len(_ALPHABET), count))

"""Positions: quantity, cost basis, realised result and cash flow of an account in an instrument, from its events."""

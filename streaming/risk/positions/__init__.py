"""Positions: quantity, cost basis, realised result and cash flow of one account in one instrument, folded from events."""

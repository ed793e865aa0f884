"""Option pricing: values, greeks, implied volatility and smiles, in columns (option_pricing.md)."""

"""Value at risk, expected shortfall and their backtest."""

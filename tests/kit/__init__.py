"""The test kit: tiny days, drawn at random or written by hand."""

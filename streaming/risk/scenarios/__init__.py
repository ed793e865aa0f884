"""Stress scenarios: the library as data, and what each scenario means for each instrument."""

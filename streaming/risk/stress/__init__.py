"""Stress testing: losses of the book under scenarios, who they fall on, and what would break a threshold."""

"""The generated default day: real closes, and everything else drawn from one seed (``docs/demo-day.md``)."""

from streaming.demo.day import correction, generate, joined
from streaming.demo.faults import FAULTS
from streaming.demo.spec import Arrivals, Chunk, DaySpec, Truth, small_day

__all__ = ["FAULTS", "Arrivals", "Chunk", "DaySpec", "Truth", "correction", "generate", "joined", "small_day"]

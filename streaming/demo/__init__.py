"""The generated default day: real closes, and everything else drawn from one seed (``docs/demo-day.md``)."""

from streaming.demo.day import generate
from streaming.demo.spec import Arrivals, Chunk, DaySpec, Truth, small_day

__all__ = ["Arrivals", "Chunk", "DaySpec", "Truth", "generate", "small_day"]

"""The desk's console: Dagster shows, schedules and starts what the pipeline does. It computes nothing itself."""

import warnings

# Partitioned checks, exclusions and freshness are beta or preview in the pinned Dagster; tests say when that breaks.
warnings.filterwarnings("ignore", message=r".* is currently in (beta|preview)")
warnings.filterwarnings("ignore", message=r".*(beta|preview), and may have breaking changes")

"""The desk's console: Dagster shows, schedules and starts what the pipeline does. It computes nothing itself."""

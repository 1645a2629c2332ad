"""Measurements of speed, one script per subject: `python -m benchmarks.perf.decode [--json] [--full]`."""

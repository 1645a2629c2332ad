"""Train, measure, rank, publish; measurements of speed live in `benchmarks/perf/`."""

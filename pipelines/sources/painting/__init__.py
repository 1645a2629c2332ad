"""How the synthetic landscapes are described and painted; `pipelines.sources.painter` is the front door."""

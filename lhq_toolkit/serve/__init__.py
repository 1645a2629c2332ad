"""`lhq serve`: a local page on which a person scrolls through a run's endless panorama."""

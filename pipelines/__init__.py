"""Ray-parallel curation: sources, crawl, filters, export, and the engine that runs them."""

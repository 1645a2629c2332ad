"""The dataset on disk: schemas, tables, image store, safe decoding, recipes, errors."""

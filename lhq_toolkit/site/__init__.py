"""The parts of the documentation's site that are made from the code: `make docs`. Needs the extra `dev`."""

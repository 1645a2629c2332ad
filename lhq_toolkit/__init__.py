"""What the user touches: the `lhq` command line and what it shows."""

__version__ = "0.1.0"

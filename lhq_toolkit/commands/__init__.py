"""One module per command: its options, the call into the pipelines, and its closing summary."""

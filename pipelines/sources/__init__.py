"""Where photographs come from: a source lists photos with their rights, and fetches their files."""

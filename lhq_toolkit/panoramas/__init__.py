"""Panoramas as files: written while they are made, in memory that does not grow with their length."""

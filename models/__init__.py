"""Networks and their numerics. Imports torch and numpy, and nothing else of this project."""

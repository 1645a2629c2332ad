"""Networks and their numerics. Imports torch and numpy (clean-fid to open Inception), nothing else of this project."""

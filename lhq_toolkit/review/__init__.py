"""`lhq review`: a local page on which a person keeps or rejects photos."""

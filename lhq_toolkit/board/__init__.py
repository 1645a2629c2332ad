"""How a leaderboard is shown and handed on: text, one HTML page, a folder for a static host."""

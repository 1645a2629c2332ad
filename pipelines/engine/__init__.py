"""Runs stages over many photos: workers on Ray or in this process, what is still to do, fits, progress."""

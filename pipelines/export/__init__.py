"""Hands a subset on: pictures of one size in a folder, with the rights of each beside them."""

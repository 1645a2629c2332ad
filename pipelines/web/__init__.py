"""Talking to web hosts: keys, quotas, patience, the two APIs, downloads."""

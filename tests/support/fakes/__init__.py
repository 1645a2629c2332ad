"""A made-up Unsplash and Flickr on loopback: two APIs, two image hosts, a request log, faults on demand."""

from fakes.faults import Fault, Plan
from fakes.server import Entry, FakeWeb
from fakes.world import Shot, World

__all__ = ["Entry", "FakeWeb", "Fault", "Plan", "Shot", "World"]

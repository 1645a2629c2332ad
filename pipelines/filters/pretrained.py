"""Finding the pretrained weights of a stage, before anything is read."""

from __future__ import annotations

from pathlib import Path

from manifests.errors import SetupError
from models import weights
from models.weights import Found, WeightsError


def find(name: str, given: Path | None) -> Found:
    """The checked file of a registered network; SetupError, with the one command to run, where it is not there."""
    try:
        return weights.find(name, given)
    except WeightsError as error:
        raise SetupError(str(error)) from error

"""What stages with pretrained weights share: the setting that names a file, and finding it before anything is read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from manifests.errors import SetupError
from models import weights
from models.weights import Found, WeightsError


def _empty_is_none(value: Any) -> Any:
    return None if value == "" else value


def _absolute(path: Path | None) -> Path | None:
    """A recipe is used again from other working folders."""
    return path and path.expanduser().absolute()


# A file to use instead of the registered one; an empty text means the registered one again. Not a measuring
# parameter: what counts is its hash (`Stage.weights_hash`), not its place.
GivenFile = Annotated[Path | None, BeforeValidator(_empty_is_none), AfterValidator(_absolute)]


def find(name: str, given: Path | None) -> Found:
    """The checked file of a registered network; SetupError, with the one command to run, where it is not there."""
    try:
        return weights.find(name, given)
    except WeightsError as error:
        raise SetupError(str(error)) from error

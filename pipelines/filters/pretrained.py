"""What stages with pretrained weights share: the setting that names a file, and finding it before anything is read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

from manifests.errors import SetupError
from models import weights
from models.weights import Found, WeightsError
from pipelines.engine.stage import empty_is_none


def _absolute(path: Path | None) -> Path | None:
    """A recipe is used again from other working folders. ValueError for what no file can be called."""
    if path is None:
        return None
    try:
        whole = path.expanduser().absolute()
        whole.exists()
    except (OSError, RuntimeError) as error:  # too long; of a user that there is not
        raise ValueError(f"no file can be called so: {getattr(error, 'strerror', None) or error}") from error
    return whole


# A file to use instead of the registered or shipped one; an empty text means that one again. Not a measuring
# parameter: what counts is its hash (`Stage.weights_hash`), not its place.
GivenFile = Annotated[Path | None, BeforeValidator(empty_is_none), AfterValidator(_absolute)]


def find(name: str, given: Path | None) -> Found:
    """The checked file of a registered network; SetupError, with the one command to run, where it is not there."""
    try:
        return weights.find(name, given)
    except WeightsError as error:
        raise SetupError(str(error)) from error

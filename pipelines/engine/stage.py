"""The contract of a filter stage: what it declares, what it measures, what it decides.

A stage never drops a row, never writes a file and never imports Ray; the engine finds what is still to
do, feeds it, commits its rows and resumes. Measuring is slow and done once per fingerprint; deciding is
fast, pure, and done again whenever a threshold changes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Generic, TypeVar

import numpy as np
import pyarrow as pa
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from manifests import schema
from manifests.plugins import Group, misdeclared

_TAKEN = {  # columns of views and of measurement tables
    *("photo_id", "path", "fingerprint", "error", "others", *schema.PHOTOS.names),
    *(name if name in ("sha256", "photo_id") else f"file_{name}" for name in schema.FILES.names),
}

RGB = np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]  # [height, width, 3], sRGB


class StageSettings(BaseModel):
    """Thresholds and measuring parameters of one stage, as `--set stage.name=value` and recipes give them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def measuring(self) -> dict[str, Any]:
        """The parameters that change what is measured, hence the fingerprint; the rest are thresholds."""
        fields = type(self).model_fields
        return {name: getattr(self, name) for name, field in fields.items() if _is_measuring(field.json_schema_extra)}


S = TypeVar("S", bound=StageSettings)


def measuring(default: Any, **limits: Any) -> Any:
    """A settings field that changes what is measured (part of the fingerprint), unlike a threshold."""
    return Field(default, json_schema_extra={"measuring": True}, **limits)


def empty_is_none(value: Any) -> Any:
    """For settings that may be taken back: `--set stage.name=` is None again."""
    return None if value == "" else value


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


# A file to use instead of ours; an empty text means ours again. Not a measuring parameter: what counts is what is in it
# (`Stage.weights_hash`), not its place.
GivenFile = Annotated[Path | None, BeforeValidator(empty_is_none), AfterValidator(_absolute)]


def _is_measuring(extra: Any) -> bool:
    return isinstance(extra, dict) and bool(extra.get("measuring"))


@dataclass(frozen=True)
class Resources:
    """What one worker of the stage needs."""

    gpus: float = 0.0  # share of a graphics card, where the cluster has any
    batch_size: int = 64  # images handed to `measure` at once, at most


@dataclass(frozen=True)
class FitInput:
    """What `fit` learns from: the distinct images that reach the stage, in order of sha256.

    `read(sha256)` decodes one at the scale the stage declares, and raises InputError for a damaged one.
    """

    sha256s: Sequence[str]
    read: Callable[[str], RGB]
    seed: int = 0


class Stage(ABC, Generic[S]):
    """One filter. Subclasses declare the class variables and implement what applies to them.

    A metadata stage (`min_side = None`) only decides. An image stage also measures: it gets each distinct
    image once, keyed by sha256, decoded so that its short side is at least `min_side` pixels.
    """

    name: ClassVar[str]
    version: ClassVar[int]  # raised whenever the same input would be measured differently
    settings_type: ClassVar[type[StageSettings]]
    min_side: int | None = None  # like `fit_unit` and `resources`, may hang on the settings
    columns: ClassVar[Mapping[str, pa.DataType]] = {}  # what `measure` returns, besides the key
    meanings: ClassVar[Mapping[str, str]] = {}  # of `columns`, in half a sentence each, for the documentation
    decides_on: ClassVar[Sequence[str] | None] = None  # of `columns` those that `decide` looks at; None: all
    decides_last: ClassVar[bool] = False  # stands last in the funnel, wherever it stands in the recipe
    fit_needs: ClassVar[int | None] = None  # least number of images `fit` can learn from; None: not fitted
    fit_unit: str = "networks"  # what `fit` counts
    resources: Resources = Resources()

    def __init__(self, settings: S) -> None:
        self.settings = settings

    @classmethod
    def problem(cls) -> str | None:
        """What is wrong with a stage of another package as it is declared; None where nothing is seen to be."""
        if wrong := misdeclared(cls, StageSettings):
            return wrong
        if not isinstance(getattr(cls, "resources", None), Resources):
            return "states resources that are none: what hangs on the settings is set in __init__"
        if bool(cls.columns) != (cls.min_side is not None):
            return "is neither a metadata stage nor an image stage: an image stage states columns and min_side"
        if taken := sorted(set(cls.columns) & _TAKEN):
            return f"has a column {taken[0]!r}, a name that the tables have already"
        return None

    def reads(self) -> Sequence[str] | None:
        """Columns of the view that `decide` looks at besides `photo_id` and the stage's own; None: all of them."""
        return None

    def uses(self) -> Sequence[tuple[Group[Any], str]]:
        """What of other packages, besides the stage itself, measures with these settings: each kind and name."""
        return ()

    def weights_hash(self) -> str | None:
        """Hash of files that measuring or deciding depends on besides the settings: weights, a list; None for none."""
        return None

    def fit(self, images: FitInput, progress: Callable[[int, int], None]) -> Mapping[str, bytes]:
        """Learn from the set; returns the artefact's files by name. Calls `progress(done, of how many)`."""
        raise NotImplementedError(f"{self.name} is not a fitted stage")

    def setup(self, artefact: Path | None) -> None:
        """Called once per worker before `measure`; `artefact` is the folder that `fit`'s files were stored in."""

    def prepare(self, image: RGB) -> Any:
        """What `measure` is given of an image, with `nbytes`; called in a thread beside `measure`. Raises nothing."""
        return image

    def alike(self, image: Any) -> Hashable:  # noqa: ARG002 (all are, unless a stage says otherwise)
        """Of what `prepare` gave: images with the same answer are measured together."""
        return None

    def measure(self, sha256s: Sequence[str], images: Sequence[Any]) -> Mapping[str, Sequence[Any]]:
        """The declared columns for a batch of images, in order. Raises nothing for a decodable image.

        It may be called again with half of them where the graphics card runs out of memory.
        """
        raise NotImplementedError(f"{self.name} measures nothing")

    @abstractmethod
    def decide(self, view: pa.Table) -> Verdicts:
        """Verdicts for the rows of `view`, in their order.

        `view` has one row per photo that reaches the stage and is measured without error, in the order in which
        they were first seen: of the columns of `photos` and its file (`sha256`, `file_width`, `file_height`,
        `file_bytes`, `file_format`; null before download) those that `reads` names, and of this stage's measurements
        those of `decides_on`.
        A stage that `decides_last` also gets `others`: true where everything else keeps the photo. Pure: the same
        view and settings give the same verdicts.
        """


@dataclass(frozen=True)
class Verdicts:
    """What a stage says of each row of its view, in order."""

    keep: Sequence[bool]
    reason: Sequence[str | None]  # why not, in few words; None where kept
    value: Sequence[float | None]  # the number that was compared, for the flat manifest and the report
    about: Sequence[str | None] | None = None  # whom the reason is about, where it is about another photo: its id
    notes: Sequence[str] = ()  # what a person should know of these verdicts as a whole

    def __post_init__(self) -> None:
        if not len(self.keep) == len(self.reason) == len(self.value) == len(self.about or self.keep):
            raise ValueError("keep, reason, value and about must have one entry per row")

    def __iter__(self) -> Iterator[tuple[bool, str | None, float | None]]:
        return iter(zip(self.keep, self.reason, self.value, strict=True))

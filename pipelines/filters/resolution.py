"""The resolution stage: rejects a photo that is too small, or too wide or too tall for its size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BeforeValidator, Field, model_validator

from pipelines.engine.stage import Stage, StageSettings, Verdicts, empty_is_none

_Ratio = Annotated[float, Field(gt=0, allow_inf_nan=False)]
OptionalRatio = Annotated[_Ratio | None, BeforeValidator(empty_is_none)]
OptionalArea = Annotated[Annotated[int, Field(ge=1)] | None, BeforeValidator(empty_is_none)]


class ResolutionSettings(StageSettings):
    """How small a photo may be, and of which shape; None asks nothing."""

    min_side: int = Field(default=1024, ge=1, description="pixels of the shorter side, at least")
    min_area: OptionalArea = Field(default=None, description="pixels in all, at least")
    min_aspect: OptionalRatio = Field(default=None, description="width over height, at least")
    max_aspect: OptionalRatio = Field(default=None, description="width over height, at most")

    @model_validator(mode="after")
    def _some_shape_is_left(self) -> ResolutionSettings:
        if self.min_aspect and self.max_aspect and self.min_aspect > self.max_aspect:
            raise ValueError(f"min_aspect {self.min_aspect:g} is above max_aspect {self.max_aspect:g}: no photo fits")
        return self


class Resolution(Stage[ResolutionSettings]):
    """Rejects a photo whose shorter side, area or aspect ratio is out of bounds; the first that is, is the reason.

    The size is the file's, or before the download the one its source promises. Where neither is known
    nothing says that the photo is too small: it is kept, with no value.
    """

    name = "resolution"
    version = 1
    settings_type = ResolutionSettings

    def reads(self) -> Sequence[str]:
        return ("file_width", "file_height", "width", "height")

    def decide(self, view: pa.Table) -> Verdicts:
        """Verdicts from `file_width` and `file_height`, else `width` and `height`; the value is the short side."""
        width, height = _size(view)
        limits = self.settings
        ratio = width / height
        checks = [(np.minimum(width, height) < limits.min_side, f"short side below {limits.min_side}")]
        if limits.min_area is not None:
            checks.append((width * height < limits.min_area, f"area below {limits.min_area}"))
        if limits.min_aspect is not None:
            checks.append((ratio < limits.min_aspect, f"aspect ratio below {limits.min_aspect:g}"))
        if limits.max_aspect is not None:
            checks.append((ratio > limits.max_aspect, f"aspect ratio above {limits.max_aspect:g}"))
        reason = np.full(view.num_rows, None, dtype=object)
        for wrong, why in reversed(checks):  # comparisons with an unknown size are false
            reason[wrong] = why
        short = np.minimum(width, height).astype(object)
        short[np.isnan(width)] = None
        keep = ~np.any([wrong for wrong, _ in checks], axis=0)
        return Verdicts(keep=keep.tolist(), reason=reason.tolist(), value=short.tolist())


def _size(view: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """Width and height as float64, NaN where unknown; a size of which half is known is none."""
    whole = pc.and_(pc.is_valid(view["file_width"]), pc.is_valid(view["file_height"]))
    width = pc.if_else(whole, view["file_width"], view["width"])
    height = pc.if_else(whole, view["file_height"], view["height"])
    known = pc.and_(pc.is_valid(width), pc.is_valid(height))
    width, height = (pc.cast(pc.if_else(known, side, None), pa.float64()) for side in (width, height))
    return width.to_numpy(), height.to_numpy()

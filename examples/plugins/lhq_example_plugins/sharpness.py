"""The filter `sharpness`: rejects a picture that is blurred all over.

The variance of the Laplacian of its brightness (Pech-Pacheco et al. 2000, 'Diatom autofocusing in brightfield
microscopy', section 2), at one size for all pictures: sharp edges make it large, blur makes it small.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from PIL import Image
from pydantic import Field

from pipelines.engine.stage import RGB, Stage, StageSettings, Verdicts, measuring

Grey = npt.NDArray[np.float32]  # [height, width], 0 to 255


class SharpnessSettings(StageSettings):
    """What `lhq filter --set sharpness.NAME=VALUE` may say."""

    side: int = measuring(256, ge=16, le=4096, description="Pixels of the shorter side at which it is measured.")
    threshold: float = Field(30.0, ge=0, allow_inf_nan=False, description="Kept from this sharpness on.")


class Sharpness(Stage[SharpnessSettings]):
    """Measures once; another threshold only decides again."""

    name = "sharpness"
    version = 1
    settings_type = SharpnessSettings
    min_side = 256
    columns = {"sharpness": pa.float32()}  # noqa: RUF012
    meanings = {"sharpness": "variance of the Laplacian of the brightness, 0 to 255"}  # noqa: RUF012

    def __init__(self, settings: SharpnessSettings) -> None:
        super().__init__(settings)
        self.min_side = settings.side

    def reads(self) -> Sequence[str]:
        return ()  # it decides on what it measured, nothing else

    def prepare(self, image: RGB) -> Grey:
        """The brightness, its shorter side exactly `side` pixels."""
        height, width = image.shape[:2]
        factor = self.settings.side / min(height, width)
        size = max(3, round(width * factor)), max(3, round(height * factor))
        grey = Image.fromarray(image).convert("L").resize(size, Image.Resampling.BOX)
        return np.asarray(grey, np.float32)

    def measure(self, sha256s: Sequence[str], images: Sequence[Grey]) -> Mapping[str, Sequence[Any]]:  # noqa: ARG002
        """`sharpness` of each picture."""
        return {"sharpness": [variance_of_laplacian(image) for image in images]}

    def decide(self, view: pa.Table) -> Verdicts:
        """Kept from the threshold on; the value is the sharpness."""
        sharpness = view["sharpness"].to_numpy()
        keep = sharpness >= self.settings.threshold
        return Verdicts(
            keep=keep.tolist(),
            reason=[None if kept else "not sharp" for kept in keep],
            value=sharpness.tolist(),
        )


def variance_of_laplacian(grey: Grey) -> float:
    """Of the differences of each pixel inside to its four neighbours."""
    inner = grey[1:-1, 1:-1]
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * inner
    return float(laplacian.var())

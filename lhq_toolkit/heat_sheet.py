"""A picture of what tells: photos beside themselves with the regions marked by which invariance knows their parts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from shlex import quote

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from manifests import atomic
from manifests.dataset import Dataset
from manifests.errors import InputError, MisuseError, SetupError
from manifests.recipes import Recipe
from pipelines.engine.measure import current_fingerprint, read_image
from pipelines.engine.stage import RGB
from pipelines.filters.invariance import Invariance
from pipelines.funnel import Funnel, stage_of, walk

BOX = (232, 155)  # width, height of a photo, pixels
GAP, MARGIN, CAPTION, COLUMNS = 14, 24, 18, 2
FULL = 2.0  # log-odds at which a colour is at its strongest
TELLS, MISLEADS = (222, 42, 28), (32, 92, 214)
PAPER, INK, FAINT = (250, 249, 246), (34, 40, 49), (120, 126, 135)
TITLE = "Beside each photo, red: without this region the place of its part is less sure; blue: it is surer."


def draw(dataset: Dataset, recipe: Recipe, out: Path, ids: Sequence[str], most: int) -> list[str]:
    """Write a PNG of the photos `ids`, or of `most` spread over all scores, the highest first; returns their ids.

    Raises SetupError where the recipe's invariance is not measured, MisuseError for an id without a picture.
    """
    stage, artefact = _fitted(dataset, recipe)
    funnel = walk(dataset, recipe, columns=())
    rows = _given(funnel, ids) if ids else _spread(funnel, most)
    stage.setup(artefact)
    cells = [_cell(funnel, stage, row) for row in rows]
    high = BOX[1] + CAPTION + GAP
    width = 2 * MARGIN + COLUMNS * (2 * BOX[0] + 2 + GAP) - GAP
    sheet = Image.new("RGB", (width, 2 * MARGIN + CAPTION + -(-len(cells) // COLUMNS) * high), PAPER)
    ImageDraw.Draw(sheet).text((MARGIN, MARGIN - 6), TITLE, INK, ImageFont.load_default(13))
    for at, cell in enumerate(cells):
        left = MARGIN + at % COLUMNS * (2 * BOX[0] + 2 + GAP)
        sheet.paste(cell, (left, MARGIN + CAPTION + at // COLUMNS * high))
    with atomic.replacing(out) as temporary:
        sheet.save(temporary, "PNG")
    return [funnel.photos["photo_id"][row].as_py() for row in rows]


def heat_map(image: RGB, cells: npt.NDArray[np.float32], parts: int) -> Image.Image:
    """The picture in grey, its regions coloured by `cells` [rows, columns] in log-odds, its parts divided by lines."""
    height, width = image.shape[:2]
    fine = Image.fromarray(cells).resize((width, height), Image.Resampling.BICUBIC)
    strength = np.clip(np.asarray(fine) / FULL, -1, 1)[..., None]
    grey = np.asarray(Image.fromarray(image).convert("L").convert("RGB"), np.float32)
    colour = np.where(strength > 0, np.array(TELLS, np.float32), np.array(MISLEADS, np.float32))
    share = 0.75 * np.abs(strength)
    picture = Image.fromarray((grey * (1 - share) + colour * share + 0.5).astype(np.uint8))
    brush = ImageDraw.Draw(picture)
    for part in range(1, parts):
        brush.line((part * width // parts, 0, part * width // parts, height), (255, 255, 255))
    return picture


def _fitted(dataset: Dataset, recipe: Recipe) -> tuple[Invariance, Path]:
    """The recipe's stage and its stored networks."""
    step = recipe.step(Invariance.name)
    if step is None:
        raise MisuseError(f"invariance is not in the recipe of {recipe.name!r}: add it with lhq filter --invariance")
    stage = stage_of(recipe, step)
    assert isinstance(stage, Invariance)
    fingerprint = current_fingerprint(dataset, stage)
    if fingerprint is None or fingerprint != step.fingerprint:
        raise SetupError(
            f"invariance is not measured as the recipe of {recipe.name!r} says: "
            f"run lhq filter {quote(str(dataset.root))} --subset {recipe.name}"
        )
    return stage, dataset.fits_folder(stage.name) / fingerprint


def _given(funnel: Funnel, ids: Sequence[str]) -> list[int]:
    rows = {photo_id: row for row, photo_id in enumerate(funnel.photos["photo_id"].to_pylist())}
    for photo_id in ids:
        if photo_id not in rows or not funnel.ok_file[rows[photo_id]]:
            raise MisuseError(f"--id {photo_id}: there is no photo with this id and a file")
    return [rows[photo_id] for photo_id in ids]


def _spread(funnel: Funnel, most: int) -> list[int]:
    """Rows of up to `most` photos, evenly over the ranking by score."""
    (scores,) = [outcome.value for outcome in funnel.outcomes if outcome.stage == Invariance.name]
    ranked = np.argsort(-scores, kind="stable")[: int(np.isfinite(scores).sum())]  # NaN, which is last, is no score
    if not len(ranked):
        raise SetupError("no photo has an invariance score yet: run lhq filter first")
    at = np.linspace(0, len(ranked) - 1, min(most, len(ranked))).round().astype(int)
    return [int(row) for row in ranked[at]]


def _cell(funnel: Funnel, stage: Invariance, row: int) -> Image.Image:
    """A photo, its heat map beside it, and what its network says below."""
    cell = Image.new("RGB", (2 * BOX[0] + 2, BOX[1] + CAPTION), PAPER)
    brush = ImageDraw.Draw(cell)
    photo_id, sha256, path = (funnel.photos[name][row].as_py() for name in ("photo_id", "sha256", "path"))
    caption = photo_id
    try:
        image = read_image(funnel.dataset.root, path, stage.min_side)
        shown = Image.fromarray(read_image(funnel.dataset.root, path, BOX[1]))
    except InputError as error:
        caption = f"{photo_id}: {error}"
    else:
        p_true = stage.measure([sha256], [image])["p_true"][0]
        said = "learned from" if p_true is None else " · ".join(f"{p:.2f}" for p in p_true)
        caption = f"{said}    {photo_id}"
        shown = shown.resize(_within(BOX, shown.size), Image.Resampling.LANCZOS)
        heat = heat_map(np.asarray(shown), stage.heat(sha256, image), stage.settings.parts)
        cell.paste(shown, (0, 0))
        cell.paste(heat, (shown.width + 2, 0))
    brush.text((0, BOX[1] + 3), caption, FAINT, ImageFont.load_default(11))
    return cell


def _within(box: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """The largest size of the same shape that fits into the box."""
    scale = min(box[0] / size[0], box[1] / size[1])
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))

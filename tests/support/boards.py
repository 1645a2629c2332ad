"""Rows of leaderboards as the benchmark writes them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from benchmarks import leaderboard, presets, recipes
from benchmarks.leaderboard import Row

HASH = "a" * 64


def row(model: str = "alis", fd: float | None = 0.2, *, d: int | None = None, seed: int = 0, **changed: object) -> Row:
    """A smoke run on the sample; of endless models with infinity numbers."""
    known = model if model in recipes.MODELS else "alis"
    recipe = dataclasses.replace(presets.preset(known, "sample", "smoke", 64), seed=seed)
    if d is not None:
        recipe = dataclasses.replace(recipe, anchor_distance=d)
    values: dict[str, object] = {
        "model": model,
        "dataset": "sample",
        "subset": "curated",
        "subset_hash": HASH,
        "resolution": 64,
        "budget": "smoke",
        "recipe_hash": recipes.recipe_hash(recipe),
        "anchor_distance": recipe.anchor_distance if model.startswith("alis") else None,
        "images_seen": 4000,
        "train_hours": 0.02,
        "train_devices": "1x cpu (2 threads)",
        "fd": fd,
        "fd_error": 0.01,
        "features": f"small-conv@{'c' * 64}",
        "resize": "none",
        "n_real": 1500,
        "n_generated": 1000,
        "ms_per_image": 5.0,
        "sampling": "truncation 1, noise",
        "generator": 100,
        "discriminator": 200,
        "total": 300,
        "device": "cpu",
        "dtype": "float32",
        "threads": 2,
        "seed": seed,
        "toolkit": "0.1",
        "date": "2026-01-02T03:04:05+00:00",
    }
    if model != "stylegan2":
        setup = "2 panoramas of 1000 frames, seeds 0-1"
        endless = None if fd is None else 1.1 * fd
        values |= {"infinity_fd": endless, "infinity_fd_error": 0.02, "infinity_setup": setup, "seam": 1.2}
    return Row(**{**values, **changed})  # type: ignore[arg-type]


def write(path: Path, *rows: Row) -> Path:
    """A leaderboard of these rows, whatever they say."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(leaderboard.as_csv(rows))
    return path

"""A published network becomes a run, whole or not at all; what is not one is refused by name."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import published_pickle
import pytest
import tiny
import torch
from safetensors.torch import load_file, save_file

from benchmarks import evaluate, importing, networks, presets, recipes, runs, speed
from benchmarks.pictures import Pictures
from benchmarks.recipes import Measurement, Recipe
from benchmarks.reference import Reference
from lhq_toolkit import show
from manifests import atomic
from manifests.errors import InputError, MisuseError, SetupError
from models import alis, features, published
from models.weights import read_sha256

GOLDEN = Path(__file__).parents[1] / "models" / "golden"
META = json.loads((GOLDEN / "meta.json").read_text())
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    """Networks in both kinds of files."""
    folder = tmp_path_factory.mktemp("files")
    found = {name: GOLDEN / f"{name}.safetensors" for name in ("stylegan2", "alis_grid2", "alis_grid16")}
    tensors = load_file(GOLDEN / "alis_grid2.safetensors") | load_file(GOLDEN / "discriminator.safetensors")
    half = {name: one for name, one in tensors.items() if name.startswith(("G.", "D."))}
    stored = published_pickle.networks(half, patchwise={"grid_size": 2, "w_coord_dist": 4}, float16_from=8)
    return {**found, "pickle": published_pickle.write(folder / "network-snapshot-000001.pkl", stored)}


def test_a_run_of_an_imported_network_makes_the_published_pictures(files, tmp_path):
    run = tmp_path / "RUN"
    importing.bring(files["alis_grid16"], "alis", META["alis_grid16"], run)
    snapshot = runs.open_checkpoint(run, CPU, "last")
    generator, tensors = snapshot.generator, load_file(files["alis_grid16"])
    assert isinstance(generator, alis.Generator)
    border = tensors["left_borders_idx"]
    with torch.no_grad():
        images = generator.frames(tensors["ws"][None].expand(len(border), -1, -1, -1), border)
    assert float((images - tensors["images"]).norm() / tensors["images"].norm()) < 1e-5


def test_its_recipe_says_where_it_came_from_and_nothing_of_a_training(files, tmp_path):
    run = tmp_path / "RUN"
    recipe = importing.bring(files["pickle"], "alis", {}, run)
    written = json.loads((run / "recipe.json").read_bytes())
    assert written["imported"] == {
        "file": "network-snapshot-000001.pkl",
        "sha256": read_sha256(files["pickle"]),
        "networks": ["G_ema", "D"],
    }
    assert (written["clamp"], written["float16_styles_from"], written["patches"]) == (256.0, 8, 2)
    known = {"model", "budget", "resolution", "imported", *recipes.NETWORK_ONLY, *recipes.ANCHORS_ONLY}
    assert set(written) == known
    assert recipes.load(run) == recipe
    assert sorted(path.name for path in run.iterdir()) == ["checkpoints", "recipe.json"]
    generator, discriminator = published.load("alis", _sizes(), _halves(files["pickle"]))
    assert generator is not None
    assert discriminator is not None
    tensors = load_file(run / "checkpoints" / "00000000" / "state.safetensors")
    assert {name.partition(".")[0] for name in tensors} == {"average", "discriminator"}
    for name, network in {"average": generator, "discriminator": discriminator}.items():
        for key, value in network.state_dict().items():
            assert torch.equal(tensors[f"{name}.{key}"], value)


def _sizes() -> dict[str, Any]:
    return {**META["alis_grid2"], "clamp": 256, "float16_styles_from": 8}


def _halves(path: Path) -> dict[str, torch.Tensor]:
    from models import published_files

    return dict(published_files.read(path).tensors)


def test_float16_styles_are_a_property_of_the_run_and_can_be_chosen(files, tmp_path):
    made = {}
    for name, chosen in {"as the file says": {}, "none": {"float16_styles_from": 0}}.items():
        importing.bring(files["pickle"], "alis", chosen, tmp_path / name)
        snapshot = runs.open_checkpoint(tmp_path / name, CPU, "last")
        assert snapshot.recipe.float16_styles_from == chosen.get("float16_styles_from", 8)
        made[name] = snapshot.generator.samples(0, 0, 2, noise=False)
    tensors = _halves(files["pickle"])
    for name, first in {"as the file says": 8, "none": 0}.items():
        generator, _ = published.load("alis", {**_sizes(), "float16_styles_from": first}, tensors)
        assert isinstance(generator, alis.Generator)
        assert torch.equal(made[name], generator.samples(0, 0, 2, noise=False))
    assert not torch.allclose(made["none"], made["as the file says"], rtol=0.1, atol=0.1)


def test_the_recipe_s_hash_is_of_the_file_s_bytes_and_old_hashes_stay(files, tmp_path):
    recipe = importing.bring(files["pickle"], "alis", {}, tmp_path / "RUN")
    assert recipe.imported is not None
    renamed = dataclasses.replace(recipe, imported=dataclasses.replace(recipe.imported, file="other.pkl"))
    other = dataclasses.replace(recipe, imported=dataclasses.replace(recipe.imported, sha256="0" * 64))
    assert recipes.recipe_hash(renamed) == recipes.recipe_hash(recipe) != recipes.recipe_hash(other)
    with pytest.raises(MisuseError, match="trained elsewhere"):
        Recipe(model="alis", dataset="d", budget="imported", resolution=64, images=1, batch=4)
    with pytest.raises(MisuseError, match="clamp"):
        presets.with_settings(presets.preset("alis", "d", "smoke", 64), ["clamp=3"])


def test_a_run_that_is_there_stays_as_it_is(files, tmp_path):
    run = tmp_path / "RUN"
    run.mkdir()
    importing.bring(files["stylegan2"], "stylegan2", META["stylegan2"], run)  # an empty folder is as good as none
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with pytest.raises(MisuseError, match="is there already"):
        importing.bring(files["alis_grid2"], "alis", META["alis_grid2"], run)
    assert before == {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    (tmp_path / "file").write_text("mine")
    with pytest.raises(MisuseError, match="is there already"):
        importing.bring(files["stylegan2"], "stylegan2", META["stylegan2"], tmp_path / "file")


def test_a_disk_that_fills_leaves_nothing(files, small_disk):
    run = small_disk / "RUN"
    with pytest.raises(OSError, match="No space left"):
        importing.bring(files["stylegan2"], "stylegan2", META["stylegan2"], run)
    assert list(small_disk.iterdir()) == []


def test_another_model_or_other_sizes_are_refused_with_what_differs(files, tmp_path):
    cases: dict[str, tuple[str, str, dict[str, Any]]] = {
        "--model alis": ("alis_grid2", "stylegan2", META["stylegan2"]),
        "--model stylegan2": ("stylegan2", "alis", META["alis_grid2"]),
        "resolution 64": ("stylegan2", "stylegan2", {**META["stylegan2"], "resolution": 128}),
        "grid_size 2": ("pickle", "alis", {**META["alis_grid2"], "grid_size": 4}),
        "b16.conv0.weight is 32x88x3x3 and should be 16x56x3x3": (
            *("alis_grid2", "alis", {**META["alis_grid2"], "channel_base": 256}),
        ),
        "does not tell grid_size, w_coord_dist": ("alis_grid2", "alis", {}),
        "w_coord_dist is 3": ("alis_grid2", "alis", {**META["alis_grid2"], "w_coord_dist": 3}),
        "grid_size is 1.5": ("alis_grid2", "alis", {**META["alis_grid2"], "grid_size": 1.5}),
        "channel_base is 1000000000": ("stylegan2", "stylegan2", {"channel_base": 10**9}),
        "each must divide the next": ("alis_grid2", "alis", {**META["alis_grid2"], "grid_size": 3}),
        "--float16-styles-from 12": ("pickle", "alis", {"float16_styles_from": 12}),
        "--float16-styles-from 128": ("pickle", "alis", {"float16_styles_from": 128}),
        "clamp is -1": ("pickle", "alis", {"clamp": -1}),
        "clamp is nan": ("pickle", "alis", {"clamp": float("nan")}),
    }
    for told, (file, model, sizes) in cases.items():
        with pytest.raises(MisuseError) as caught:
            importing.bring(files[file], model, sizes, tmp_path / "RUN")
        assert told in str(caught.value)
        assert list(tmp_path.iterdir()) == []


def test_a_discriminator_of_another_make_is_left_out(tmp_path):
    tensors = load_file(GOLDEN / "stylegan2.safetensors") | {"D.b64.conv0.weight": torch.zeros(3)}
    half = {name: one for name, one in tensors.items() if name.startswith(("G.", "D."))}
    published_pickle.write(tmp_path / "a.pkl", published_pickle.networks(half))
    recipe = importing.bring(tmp_path / "a.pkl", "stylegan2", {}, tmp_path / "RUN")
    assert recipe.imported is not None
    assert recipe.imported.networks == ("G_ema",)


def test_numbers_that_are_none_are_refused(tmp_path):
    tensors = load_file(GOLDEN / "stylegan2.safetensors")
    tensors["G.synthesis.b8.conv0.weight"][0, 0] = float("nan")
    save_file(tensors, tmp_path / "broken.safetensors")
    with pytest.raises(InputError, match=r"broken.safetensors.*NaN or infinity.*blocks.1.conv0.weight"):
        importing.bring(tmp_path / "broken.safetensors", "stylegan2", META["stylegan2"], tmp_path / "RUN")
    assert [path.name for path in tmp_path.iterdir()] == ["broken.safetensors"]


def test_sizes_are_found_under_the_model_s_name_its_family_s_or_alone():
    text = (GOLDEN / "meta.json").read_bytes()
    assert importing.sizes_of(text, "alis_grid2")["grid_size"] == 2
    assert importing.sizes_of(text, "alis_grid16")["grid_size"] == 16
    assert importing.sizes_of(text, "stylegan2_small") == META["stylegan2"]
    assert importing.sizes_of(json.dumps(META["alis_grid2"]).encode(), "alis")["grid_size"] == 2
    with pytest.raises(MisuseError, match="no sizes of alis; it has: alis_grid2, alis_grid16"):
        importing.sizes_of(text, "alis")
    for broken in (b"{", b"[1]", b"3", b'"x"', b"\xff", b"[" * 100_000):
        with pytest.raises(MisuseError, match=r"no JSON|no sizes"):
            importing.sizes_of(broken, "alis")


@pytest.mark.slow
def test_it_is_measured_against_any_pictures_of_its_size_and_its_row_tells_no_training(files, tmp_path, monkeypatch):
    monkeypatch.setattr(speed, "SECONDS", 0.1)
    monkeypatch.setattr(speed, "SEARCH_SECONDS", 0.01)
    recipe = importing.bring(files["stylegan2"], "stylegan2", META["stylegan2"], tmp_path / "RUN")
    pictures = Pictures(tiny.images(12, 64), "measured", "curated", "a" * 64, "c" * 64)
    reference = Reference(pictures, features.small())
    found = evaluate.evaluate(tmp_path / "RUN", reference, Measurement(8, 0, 0), CPU, "9.9")
    row = found.row
    assert (row.model, row.budget, row.dataset, row.subset_hash) == ("stylegan2", "imported", "measured", "a" * 64)
    assert row.recipe_hash == recipes.recipe_hash(recipe)
    assert (row.images_seen, row.train_hours, row.train_devices, row.seed) == (None,) * 4
    assert (row.generator, row.discriminator, row.total) == (META["stylegan2"]["params_G"], None, None)
    assert row.fd is not None
    assert found.details["step"] == 0
    assert "imported" in show.leaderboard([row])
    other = Reference(Pictures(tiny.images(12, 32), "d", "s", "a", "c"), features.small())
    with pytest.raises(MisuseError, match="32 pixels wide, the recipe wants 64"):
        evaluate.evaluate(tmp_path / "RUN", other, Measurement(8, 0, 0), CPU, "9.9")


def test_it_is_not_trained_on(files, tmp_path):
    importing.bring(files["stylegan2"], "stylegan2", META["stylegan2"], tmp_path / "RUN")
    recipe = recipes.load(tmp_path / "RUN")
    networks.check(recipe)
    assert (recipe.steps, recipe.images, recipe.dataset) == (0, 0, "")
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(atomic.TEMPORARY)]
    pictures = Pictures(tiny.images(12, 64), "measured", "curated", "a" * 64, "c" * 64)
    with pytest.raises(SetupError, match="is a run of another recipe"):
        runs.train(presets.preset("stylegan2", "measured", "smoke", 64), pictures, tmp_path / "RUN", CPU)

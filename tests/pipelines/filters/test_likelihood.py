"""The likelihood stage: what was planted ranks last, the share is exact, and weights are asked for before all else."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from fitting import fitted, in_folder, sha_of
from inception import write_stand_in
from matrices import mostly_long
from PIL import Image
from pydantic import ValidationError

from manifests.errors import InputError, SetupError
from models import features, weights
from pipelines.engine.stage import RGB, FitInput
from pipelines.filters.likelihood import FACTS, Likelihood, LikelihoodSettings

SMALL = LikelihoodSettings(features="small")


@pytest.fixture(scope="module")
def scenes(painted: Path) -> dict[str, RGB]:
    return {sha_of(path): np.asarray(Image.open(path)) for path in sorted(painted.glob("*.jpg"))}


def _noise(rng: np.random.Generator) -> RGB:
    return rng.integers(0, 256, (150, 200, 3), np.uint8)


def _blocks(rng: np.random.Generator) -> RGB:
    return np.kron(rng.integers(0, 256, (10, 13, 3)), np.ones((16, 16, 1))).astype(np.uint8)


def _stripes(rng: np.random.Generator) -> RGB:
    wave = np.sin(np.arange(200) * rng.uniform(0.5, 2))[None, :, None] * np.ones((150, 1, 3))
    return (127 + 120 * wave).astype(np.uint8)


@pytest.mark.slow
@pytest.mark.parametrize("make", [_noise, _blocks, _stripes])
@pytest.mark.parametrize("count", mostly_long([3, 17], always=[17]))  # of 150 + count: 2 and 10 in a hundred
def test_planted_outliers_rank_last(
    scenes: dict[str, RGB], tmp_path: Path, make: Callable[[np.random.Generator], RGB], count: int
) -> None:
    rng = np.random.default_rng(5)
    images = {**scenes, **{sha_of(f"planted {at}"): make(rng) for at in range(count)}}
    stage = Likelihood(LikelihoodSettings(features="small", fraction=count / len(images)))
    stage.setup(in_folder(fitted(stage, images), tmp_path / "fit"))
    distance = stage.measure(list(images), list(images.values()))["distance"]
    verdicts = list(stage.decide(pa.table({"sha256": list(images), "distance": distance})))
    assert [keep for keep, _, _ in verdicts] == [True] * len(scenes) + [False] * count


@pytest.mark.slow
def test_the_artefact_is_the_same_bytes_each_time_and_a_batch_does_not_matter(
    scenes: dict[str, RGB], tmp_path: Path
) -> None:
    images = dict(list(scenes.items())[:40])
    files = fitted(Likelihood(SMALL), images)
    assert files == fitted(Likelihood(SMALL), images, sorted(images, reverse=True))
    assert "fit.json" not in files  # the engine's own
    stage = Likelihood(SMALL)
    stage.setup(in_folder(files, tmp_path / "fit"))
    together = stage.measure(list(images), list(images.values()))
    pa.table({name: pa.array(together[name], kind) for name, kind in stage.columns.items()})
    alone = [stage.measure([sha], [image])["distance"][0] for sha, image in images.items()]
    np.testing.assert_allclose(alone, together["distance"], rtol=1e-5)
    assert stage.measure([], []) == {"distance": []}


def test_only_the_sample_is_read_and_damaged_photos_are_passed_over() -> None:
    images = {sha_of(at): np.full((40, 60, 3), at, np.uint8) for at in range(60)}
    reads: list[str] = []
    progress: list[tuple[int, int]] = []

    def read(sha256: str) -> RGB:
        reads.append(sha256)
        if int.from_bytes(images[sha256].tobytes()[:1]) % 3 == 0:
            raise InputError("damaged")
        return images[sha256]

    stage = Likelihood(LikelihoodSettings(features="small", sample=20))
    files = stage.fit(FitInput(sorted(images), read), lambda done, total: progress.append((done, total)))
    assert b'"photos": 20' in files[FACTS]
    assert len(set(reads)) == len(reads) < 60
    assert progress[-1] == (20, 20)


def test_a_set_of_nothing_but_damaged_photos_stops_nothing(tmp_path: Path) -> None:
    stage = Likelihood(SMALL)
    stage.setup(in_folder(fitted(stage, {}, [sha_of(at) for at in range(20)]), tmp_path / "fit"))
    (distance,) = stage.measure([sha_of(0)], [np.zeros((10, 1, 3), np.uint8)])["distance"]
    assert np.isfinite(distance)


def _decide(fraction: float, distances: Iterable[float], names: Iterable[object] | None = None) -> list[bool]:
    distances = list(distances)
    view = pa.table({"sha256": [sha_of(name) for name in (names or range(len(distances)))], "distance": distances})
    return [keep for keep, _, _ in Likelihood(LikelihoodSettings(features="small", fraction=fraction)).decide(view)]


def test_the_share_is_exact_whatever_the_order_and_equal_distances_are_told_apart_by_hash() -> None:
    assert _decide(0.1, range(30)) == [True] * 27 + [False] * 3
    assert _decide(0.0, range(30)) == [True] * 30
    assert _decide(0.05, range(19)) == [True] * 19
    assert _decide(0.5, []) == []
    equal = dict(zip(range(10), _decide(0.3, [1.0] * 10), strict=True))
    assert sum(equal.values()) == 7
    turned = dict(zip(reversed(range(10)), _decide(0.3, [1.0] * 10, reversed(range(10))), strict=True))
    assert turned == equal


def test_photos_that_share_a_file_share_its_place() -> None:
    assert _decide(0.5, [1, 9, 9, 9], ["a", "b", "b", "b"]) == [True, False, False, False]


def test_the_reason_and_the_value() -> None:
    view = pa.table({"sha256": [sha_of(at) for at in range(4)], "distance": [1.0, 5.0, 2.0, 3.0]})
    verdicts = list(Likelihood(LikelihoodSettings(features="small", fraction=0.25)).decide(view))
    assert verdicts[1] == (False, "unlike the set (among the farthest 0.25)", 5.0)
    assert verdicts[3] == (True, None, 3.0)


def test_the_fraction_is_a_threshold_and_the_rest_is_measured() -> None:
    assert LikelihoodSettings().measuring() == {"features": "inception", "trust": 0.75, "sample": 20_000}
    for wrong in ({"fraction": 1.0}, {"fraction": -0.1}, {"trust": 0.4}, {"features": "vgg"}, {"sample": 3}):
        with pytest.raises(ValidationError):
            LikelihoodSettings(**wrong)  # type: ignore[arg-type]
    assert LikelihoodSettings(weights="").weights is None  # type: ignore[arg-type]


def test_without_the_inceptions_file_the_stage_says_the_command(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("LHQ_CACHE", str(tmp_path))
    with pytest.raises(SetupError, match="is missing: run: lhq weights fetch inception"):
        Likelihood(LikelihoodSettings()).weights_hash()
    assert Likelihood(SMALL).weights_hash() is None
    (tmp_path / "mine.pt").write_bytes(b"something")
    with pytest.raises(SetupError, match="was not opened"):
        Likelihood(LikelihoodSettings(weights=tmp_path / "mine.pt")).weights_hash()


@pytest.mark.slow
def test_the_inceptions_way_is_gone_from_end_to_end(tmp_path: Path, monkeypatch, scenes: dict[str, RGB]) -> None:
    """With a TorchScript file of the real one's outside, registered in its place."""
    file = tmp_path / "mine.pt"
    sha256 = write_stand_in(file)
    registered: Any = {**weights.REGISTRY, "inception": replace(weights.REGISTRY["inception"], sha256=sha256)}
    monkeypatch.setattr(weights, "REGISTRY", registered)
    monkeypatch.setattr(features, "INCEPTION_SHA256", sha256)
    stage = Likelihood(LikelihoodSettings(weights=file))
    images = {**dict(list(scenes.items())[:20]), sha_of("noise"): _noise(np.random.default_rng(1))}
    assert stage.weights_hash() == sha256
    files = fitted(stage, images)
    assert f"inception-2015-12-05@{sha256}".encode() in files[FACTS]
    stage.setup(in_folder(files, tmp_path / "fit"))
    distance = stage.measure(list(images), list(images.values()))["distance"]
    assert np.isfinite(distance).all()
    assert len(set(distance)) == len(images)


@pytest.mark.slow
def test_the_command_stops_before_anything_is_written_and_refits_on_request(lhq, painted, tmp_path: Path) -> None:
    dataset = tmp_path / "d"
    cache = {"LHQ_CACHE": str(tmp_path / "cache")}
    assert lhq("crawl", dataset, "--source", "folder", "--path", painted, "--workers", "0").code == 0
    ran = lhq("filter", dataset, "--resolution", "--likelihood", "--workers", "0", env=cache)
    assert (ran.code, ran.out) == (1, "")
    assert "lhq weights fetch inception" in ran.err
    assert not (dataset / "subsets").exists() or not list((dataset / "subsets").iterdir())
    assert not (dataset / "tables" / "measurements_likelihood").exists()

    small = ("--likelihood", "--set", "likelihood.features=small", "--workers", "0", "--json")
    ran = lhq("filter", dataset, *small, env=cache)
    assert ran.code == 0, ran.err
    assert ran.json["stages"]["likelihood"] == {
        "kept": 143,
        "rejected": 7,
        "errors": 0,
        "pending": 0,
        "reasons": {"unlike the set (among the farthest 0.05)": 7},
    }
    first = ran.json["measured"]["likelihood"]
    again = lhq("filter", dataset, *small, "--set", "likelihood.fraction=0.1").json
    assert (again["measured"]["likelihood"]["images"], again["stages"]["likelihood"]["rejected"]) == (0, 15)
    refit = lhq("filter", dataset, *small, "--refit").json["measured"]["likelihood"]
    assert refit["fitted"]
    assert refit["fingerprint"] == first["fingerprint"], "the same photos, the same fit"
    other = lhq("filter", dataset, *small, "--set", "likelihood.trust=0.6").json["measured"]["likelihood"]
    assert (other["images"], other["fitted"]) == (150, True)
    assert other["fingerprint"] != first["fingerprint"]

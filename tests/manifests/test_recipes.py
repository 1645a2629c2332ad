"""Recipes are kept byte for byte, refused when they cannot be read, and never lost when changed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests import recipes
from manifests.errors import MisuseError, SetupError
from manifests.recipes import Recipe, Step

BASIC = Recipe(
    "curated", (Step("tags", {"blacklist": None}), Step("resolution", {"min_side": 256, "ratio": 3.5}, "ab12"))
)

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3)
    ),
    max_leaves=6,
)
steps = st.builds(
    Step,
    st.text("abcdefg", min_size=1, max_size=8),
    st.dictionaries(st.text(st.characters(codec="utf-8")), values, max_size=3),
    st.none() | st.text("0123456789abcdef"),
)


@settings(max_examples=40, deadline=None)
@given(
    st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z"),
    st.lists(steps, max_size=4, unique_by=lambda step: step.stage),
    st.none() | st.text("0123456789abcdef"),
)
def test_any_recipe_is_read_back_as_it_was_saved(name: str, steps: list[Step], reviews: str | None) -> None:
    recipe = Recipe(name, tuple(steps), reviews)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        recipes.save(root, recipe)
        again = recipes.load(root, name)
        assert again == recipe
        assert again is not None
        assert (again.to_json(), again.sha256()) == (recipe.to_json(), recipe.sha256())
        assert recipes.names(root) == [name]
        assert {path.relative_to(root).as_posix() for path in root.rglob("*")} == {"subsets", f"subsets/{name}.json"}


def test_a_recipe_that_is_not_there_is_none_and_a_dataset_without_subsets_has_no_names(tmp_path: Path) -> None:
    assert recipes.load(tmp_path, "curated") is None
    assert recipes.names(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../evil",
        "a/b",
        "/etc/passwd",
        "a\\b",
        ".hidden",
        "-x",
        "a b",
        "a\n",
        "é",
        "a\0",
        "x" * 65,
        "~",
        "*",
    ],
)
def test_a_bad_subset_name_is_refused_before_any_file_is_touched(tmp_path: Path, name: str) -> None:
    root = tmp_path / "set"
    root.mkdir()
    (tmp_path / "evil.json").write_bytes(BASIC.to_json())
    with pytest.raises(MisuseError, match="subset name"):
        recipes.load(root, name)
    with pytest.raises(MisuseError, match="subset name"):
        Recipe(name)
    assert list(root.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"colour": "red"}, "colour"),
        ({"format": "1"}, "format"),
        ({"format": None}, "format"),
        ({"steps": {}}, "steps"),
        ({"steps": [{"stage": "tags", "settings": {}}]}, "steps.0.fingerprint"),
        ({"steps": [{"stage": "tags", "settings": [], "fingerprint": None}]}, "steps.0.settings"),
        ({"steps": [{"stage": "tags", "settings": {}, "fingerprint": None, "treshold": 1}]}, "steps.0.treshold"),
        ({"reviews": 3}, "reviews"),
    ],
)
def test_a_recipe_with_a_wrong_or_unknown_key_is_refused_and_the_key_named(
    tmp_path: Path, change: dict[str, object], told: str
) -> None:
    recipes.save(tmp_path, BASIC)
    path = recipes.recipe_path(tmp_path, "curated")
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(SetupError) as refused:
        recipes.load(tmp_path, "curated")
    assert str(path) in str(refused.value)
    assert told in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"{", b"null", b"[]", b"\xff\xfe\0", b"PAR1", b'{"format": 1}'])
def test_garbage_is_refused_and_named(tmp_path: Path, content: bytes) -> None:
    path = recipes.recipe_path(tmp_path, "curated")
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(SetupError, match=r"curated\.json is not a readable recipe"):
        recipes.load(tmp_path, "curated")


def test_a_newer_format_is_refused_as_newer_though_its_keys_are_unknown(tmp_path: Path) -> None:
    path = recipes.recipe_path(tmp_path, "curated")
    path.parent.mkdir()
    path.write_text('{"format": 2, "funnel": {}, "name": ["curated"]}')
    with pytest.raises(SetupError, match="recipe format 2, this toolkit reads 1: upgrade"):
        recipes.load(tmp_path, "curated")


def test_a_changed_recipe_keeps_every_earlier_one_under_old_once(tmp_path: Path) -> None:
    versions = [Recipe("curated", (Step("resolution", {"min_side": side}),)) for side in (64, 128, 64, 256, 64)]
    for version in versions:
        recipes.save(tmp_path, version)
        recipes.save(tmp_path, version)
    old = sorted((tmp_path / "subsets" / "old").iterdir())
    assert {path.read_bytes() for path in old} == {version.to_json() for version in versions[:4]}
    assert len(old) == 3
    assert recipes.load(tmp_path, "curated") == versions[-1]
    assert recipes.names(tmp_path) == ["curated"]


def test_names_are_sorted_and_hold_no_leftovers_or_caches(tmp_path: Path) -> None:
    for name in ("zebra", "curated", "inv-0.95"):
        recipes.save(tmp_path, Recipe(name))
    (tmp_path / "subsets" / ".tmp-1-ab-curated.json").write_text("{")
    (tmp_path / "subsets" / "curated.parquet").write_bytes(b"PAR1")
    assert recipes.names(tmp_path) == ["curated", "inv-0.95", "zebra"]


def test_a_save_that_is_killed_leaves_the_old_recipe_and_the_next_save_tidies_up(tmp_path: Path) -> None:
    recipes.save(tmp_path, BASIC)
    code = "import sys; from pathlib import Path; from manifests import recipes\n"
    code += "recipes.save(Path(sys.argv[1]), recipes.Recipe('curated'))"
    killed = subprocess.run(
        [sys.executable, "-c", code, tmp_path],
        env={**os.environ, "LHQ_FAULT": "recipe.before_replace"},
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert recipes.load(tmp_path, "curated") == BASIC
    (tmp_path / "subsets" / ".tmp-9-ab-curated.parquet").write_bytes(b"a cache that is being written now")
    recipes.save(tmp_path, Recipe("curated"))
    assert sorted(path.name for path in (tmp_path / "subsets").iterdir()) == [
        ".tmp-9-ab-curated.parquet",
        "curated.json",
        "old",
    ]


def test_a_step_is_replaced_in_its_place() -> None:
    changed = BASIC.with_step(Step("tags", {"blacklist": "mine.txt"}))
    assert [step.stage for step in changed.steps] == ["tags", "resolution"]
    assert changed.step("tags") == Step("tags", {"blacklist": "mine.txt"})
    assert changed.step("objects") is None
    assert changed.sha256() != BASIC.sha256()
    assert BASIC.with_step(Step("objects", {})) == BASIC

"""Plug-ins are names until they are asked for; one that cannot be used is told in a line, and replaces nothing."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from plugging import package

from lhq_toolkit import cli
from manifests.blame import naming
from manifests.errors import MisuseError, PluginError, SetupError
from pipelines.engine.fingerprint import fingerprint
from pipelines.engine.stage import StageSettings
from pipelines.filters import OURS, STAGES, in_order, stage_type
from pipelines.filters.duplicates import Duplicates
from pipelines.filters.tags import Tags

GOOD = """
from pipelines.engine.stage import Stage, StageSettings, Verdicts

class Bright(Stage):
    name = "bright"
    version = 1
    settings_type = StageSettings

    def decide(self, view):
        return Verdicts(keep=[True] * len(view), reason=[None] * len(view))
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path of imports, to put packages into."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(folder)):
            del sys.modules[name]


def the_line(raised: pytest.ExceptionInfo[Exception]) -> str:
    said = str(raised.value)
    assert "\n" not in said
    return said


def test_a_name_is_known_without_its_module_and_means_the_class_once_asked_for(site):
    package(site, "bright-pack", {"lhq.filters": {"bright": "bright_pack:Bright"}}, {"bright_pack": GOOD})
    assert STAGES.names() == (*OURS, "bright")
    assert "bright_pack" not in sys.modules
    assert stage_type("bright").__module__ == "bright_pack"
    (found,) = STAGES.plugins()
    assert (found.package, found.version, STAGES.problem(found)) == ("bright-pack", "1.2", None)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("import nothing_of_the_kind", "ModuleNotFoundError: No module named 'nothing_of_the_kind'"),
        ("raise ValueError('first\\nsecond')", "cannot be imported (ValueError: first)"),
        ("import sys; sys.exit(3)", "cannot be imported (SystemExit: 3)"),
        ("this is no python", "cannot be imported (SyntaxError"),
        ("Other = 1", "cannot be imported (AttributeError"),
        ("def Bright(settings): pass", "is not derived from pipelines.engine.stage:Stage"),
        ("class Bright: name = 'bright'", "is not derived from pipelines.engine.stage:Stage"),
        (GOOD.replace("def decide", "def decided"), "does not implement decide"),
        (GOOD.replace('"bright"', '"other"'), "calls itself 'other': both names must be the same"),
        (GOOD.replace("version = 1", ""), "states no version"),
        (GOOD.replace("settings_type = StageSettings", ""), "states no settings_type"),
        (GOOD.replace("version = 1", "version = 1\n    min_side = 64"), "an image stage states columns and min_side"),
    ],
)
def test_what_cannot_be_used_is_told_with_package_entry_point_and_remedy(site, code, says):
    package(site, "bright-pack", {"lhq.filters": {"bright": "bright_pack:Bright"}}, {"bright_pack": code})
    with pytest.raises(SetupError) as raised:
        stage_type("bright")
    said = the_line(raised)
    assert says in said
    assert "'bright' of the package bright-pack 1.2 (entry point lhq.filters: bright_pack:Bright)" in said
    assert "pip uninstall bright-pack" in said
    assert STAGES.problem(STAGES.plugins()[0]) == said


@pytest.mark.parametrize("name", ["Bright", "../bright", "a b", "1st", "bright-", "b" * 41, "bright.x"])
def test_a_name_that_could_not_stand_in_files_and_commands_is_left_out(site, name):
    package(site, "bright-pack", {"lhq.filters": {name: "bright_pack:Bright"}}, {"bright_pack": GOOD})
    assert STAGES.names() == tuple(OURS)
    (found,) = STAGES.plugins()
    assert "has no valid name" in (STAGES.problem(found) or "")
    with pytest.raises(SetupError, match="has no valid name"):
        stage_type(name)


def test_ours_are_never_replaced(site):
    package(site, "bright-pack", {"lhq.filters": {"tags": "bright_pack:Bright"}}, {"bright_pack": GOOD})
    assert STAGES.names() == tuple(OURS)
    assert stage_type("tags") is Tags
    assert "has the name of a built-in stage" in (STAGES.problem(STAGES.plugins()[0]) or "")
    assert "bright_pack" not in sys.modules


def test_of_two_packages_with_one_name_none_is_chosen(site):
    for name in ("pack-one", "pack-two"):
        package(site, name, {"lhq.filters": {"bright": "bright_pack:Bright"}}, {"bright_pack": GOOD})
    assert "bright" not in STAGES.names()
    with pytest.raises(SetupError, match=r"pack-one .* has the name of a stage of the package pack-two"):
        stage_type("bright")


def test_an_absent_one_is_named_with_what_to_install(site, tmp_path, monkeypatch):
    with pytest.raises(MisuseError, match=r"no stage is called 'bright'; there are: tags, .*lhq\.filters"):
        stage_type("bright")
    with pytest.raises(SetupError, match=r"of the package bright-pack, .* pip install bright-pack"):
        stage_type("bright", "bright-pack")
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.syspath_prepend(other)
    package(other, "other-pack", {"lhq.filters": {"bright": "bright_pack:Bright"}}, {"bright_pack": GOOD})
    with pytest.raises(SetupError, match="there is one of other-pack"):  # which is not what the recipe was made with
        stage_type("bright", "bright-pack")


def test_stages_of_others_stand_behind_ours_of_their_kind(site):
    image = GOOD.replace("version = 1", 'version = 1\n    min_side = 64\n    columns = {"light": pa.float32()}')
    image = "import pyarrow as pa\n" + image.replace("bright", "light").replace("Bright", "Light")
    dear = image.replace("min_side = 64", "min_side = 64\n    fit_needs = 1").replace('"light"\n', '"learns"\n')
    modules = {"bright_one": GOOD, "light_one": image, "learns_one": dear}
    points = {"bright": "bright_one:Bright", "light": "light_one:Light", "learns": "learns_one:Light"}
    package(site, "bright-pack", {"lhq.filters": points}, modules)
    assert in_order(reversed(OURS)) == list(OURS)
    cheap, seen, fitted = ["tags", "resolution"], ["duplicates"], ["likelihood", "invariance"]
    assert in_order([*points, *OURS]) == [*cheap, "bright", *seen, "light", "objects", *fitted, "learns"]


def test_help_and_commands_that_need_no_plugin_import_none(site, capfd):
    package(site, "bright-pack", {"lhq.filters": {"bright": "loud_pack:Bright"}}, {"loud_pack": "raise SystemExit(9)"})
    assert cli.run(["filter", "--help"]) == 0
    assert cli.run(["filter", str(site / "none"), "--stage", "bright"]) == 2
    assert "loud_pack" not in sys.modules
    capfd.readouterr()


@pytest.mark.slow
def test_doctor_lists_what_there_is_and_what_is_wrong(site, capfd):
    points = {"lhq.filters": {"bright": "fine_pack:Bright"}, "lhq.metrics": {"odd": "fine_pack:Nothing"}}
    package(site, "bright-pack", {**points, "lhq.filter": {"typed": "fine_pack:Bright"}}, {"fine_pack": GOOD})
    assert cli.run(["doctor"]) == 0
    lines = capfd.readouterr().out.splitlines()
    (fine,) = [line for line in lines if "stage bright" in line]
    (broken,) = [line for line in lines if "metric odd" in line]
    (unread,) = [line for line in lines if line.startswith("!!") and " lhq.filter " in line]
    assert fine.startswith("ok")
    assert "bright-pack 1.2" in fine
    assert broken.startswith("!!")
    assert "pip uninstall bright-pack" in broken
    assert "of bright-pack that nothing looks at; there are: lhq.sources, lhq.filters" in unread


FAULTY = """
from pipelines.engine.stage import Stage, StageSettings, Verdicts
import pyarrow as pa

class Bright(Stage):
    name = "bright"
    version = 1
    settings_type = StageSettings
    min_side = 8
    columns = {"light": pa.float32()}

    def measure(self, sha256s, images):
        return {"light": [1.0 for _ in images]}

    def decide(self, view):
        return Verdicts(keep=[True] * len(view), reason=[None] * len(view), value=[None] * len(view))
"""
AT = "(bright_pack.py, line "


@pytest.fixture
def pictured(site, tmp_path) -> Path:
    """A dataset of three pictures."""
    (tmp_path / "p").mkdir()
    for at in range(3):
        Image.new("RGB", (20, 20), (at, 0, 0)).save(tmp_path / "p" / f"{at}.png")
    source = ("--source", "folder", "--path", str(tmp_path / "p"))
    assert cli.run(["crawl", str(tmp_path / "d"), *source, "--workers", "0"]) == 0
    return tmp_path / "d"


@pytest.mark.parametrize(
    ("good", "wrong", "says"),
    [
        ("[1.0 for _ in images]", "1 / 0", f"failed with ZeroDivisionError: division by zero {AT}"),
        ("[1.0 for _ in images]", "open('/no/such').read()", "failed with FileNotFoundError: "),
        ("[1.0 for _ in images]", "[1.0]", "did not measure one 'light' for each of 3 images"),
        ("{'light'", "{'dark'", "did not measure one 'light' for each of 3 images"),
        ("1.0 for", "'x' for", "measured what its columns cannot hold (ArrowInvalid: "),
        ("return Verdicts(", "raise TypeError; return dict(", "failed with TypeError (bright_pack.py"),
        (
            "[True] * len(view), reason=[None] * len(view), value=[None] * len(view)",
            "[], reason=[], value=[]",
            "gave 0 verdicts on 3 p",
        ),
    ],
)
def test_what_fails_inside_a_plugin_is_told_with_its_package_and_whom_to_tell(site, pictured, capfd, good, wrong, says):
    code = FAULTY.replace('{"light": [', "{'light': [")
    assert good in code
    package(
        site,
        "bright-pack",
        {"lhq.filters": {"bright": "bright_pack:Bright"}},
        {"bright_pack": code.replace(good, wrong)},
    )
    capfd.readouterr()
    assert cli.run(["filter", str(pictured), "--stage", "bright", "--workers", "0"]) == 1
    (told,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("lhq: ")]
    assert "'bright' of the package bright-pack 1.2 (entry point lhq.filters: bright_pack:Bright) " + says in told
    assert "report it to the authors of that package" in told
    assert "a bug" not in told


def test_an_error_of_a_plugin_that_goes_to_another_process_carries_its_name(site):
    package(site, "bright-pack", {"lhq.filters": {"bright": "bright_pack:Bright"}}, {"bright_pack": FAULTY})
    stage = stage_type("bright")(StageSettings())
    with (
        pytest.raises(PluginError, match=r"'bright' of the package bright-pack 1\.2 .* failed with TypeError"),
        naming(),
    ):
        stage.measure([], None)
    with pytest.raises(ZeroDivisionError), naming():
        print(1 / 0)
    with pytest.raises(SetupError, match=r"^ours$"), naming():
        raise SetupError("ours")


def test_a_fingerprint_is_of_the_package_too_and_that_of_ours_is_as_it_was(site, monkeypatch):
    marks = []
    for name in ("one-pack", "two-pack"):
        place = site / name
        place.mkdir()
        package(place, name, {"lhq.filters": {"bright": f"{name[:3]}:Bright"}}, {name[:3]: FAULTY})
        with monkeypatch.context() as patch:
            patch.syspath_prepend(place)
            marks.append(fingerprint(stage_type("bright")(StageSettings()), None))
    assert marks[0] != marks[1]
    kept = {"stage": "duplicates", "version": Duplicates.version, "measuring": {}, "weights": None, "fitted_on": None}
    ours = Duplicates(Duplicates.settings_type())
    kept["measuring"] = ours.settings.measuring()
    assert fingerprint(ours, None) == hashlib.sha256(json.dumps(kept, sort_keys=True, default=str).encode()).hexdigest()

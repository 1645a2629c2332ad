"""`make bench`: one table of all measurements, failures told, ratios compared with the record before."""

from __future__ import annotations

import json
import sys

from benchmarks.perf import _all

SCRIPT = """
import json
rows = [{"name": "a / plain", "value": 2.0, "unit": "ms", "baseline": 4.0, "ratio": 0.5},
        {"name": "b / peer", "value": 1.0, "unit": "ms", "baseline": None, "ratio": None, "reason": "no --peer"}]
print(json.dumps({"bench": "good", "machine": {"cpu": "x"}, "rows": rows}))
"""


def test_scripts_are_run_and_failures_are_told(tmp_path):
    (tmp_path / "good.py").write_text(SCRIPT)
    (tmp_path / "bad.py").write_text("raise SystemExit('no such thing here')")
    (tmp_path / "_helper.py").write_text("raise SystemExit(1)")
    found = {path.stem: _all.run(path) for path in _all.scripts(tmp_path)}
    assert found["bad"] == {"error": "no such thing here"}
    assert [row["ratio"] for row in found["good"]["rows"]] == [0.5, None]
    text = _all.table(found, {}, None)
    assert "no such thing here" in text
    assert "no --peer" in text
    assert "nothing was measured before" in text


def test_a_ratio_that_moved_is_marked():
    rows = [{"name": name, "value": 1.0, "unit": "ms", "baseline": 2.0, "ratio": 0.5} for name in ("a", "b", "new")]
    before = {"x": {"rows": [{"name": "a", "ratio": 0.52}, {"name": "b", "ratio": 0.3}]}}
    lines = _all.table({"x": {"rows": rows}}, before, "then").splitlines()
    marked = {line.split()[1]: "*" in line for line in lines[1:4]}
    assert marked == {"a": False, "b": True, "new": False}


def test_a_run_keeps_its_record_and_what_it_did_not_measure(tmp_path, monkeypatch, capsys):
    (tmp_path / "good.py").write_text(SCRIPT)
    record = tmp_path / "last.json"
    record.write_text(json.dumps({"date": "then", "benches": {"other": {"rows": []}}}))
    monkeypatch.setattr(_all, "HERE", tmp_path)
    monkeypatch.setattr(_all, "run", lambda script, full: json.loads('{"bench": "good", "rows": []}'))
    monkeypatch.setattr(sys, "argv", ["bench", "--record", str(record)])
    assert _all.main() == 0
    kept = json.loads(record.read_text())
    assert set(kept["benches"]) == {"other", "good"}
    assert kept["machine"]["cores"] >= 1
    assert "before: then" in capsys.readouterr().out

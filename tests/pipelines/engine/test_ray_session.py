"""A Ray of one command is started again where a busy machine does not start it in time."""

from pathlib import Path

import pytest
import ray

from manifests.errors import SetupError
from pipelines.engine import ray_session
from pipelines.engine.ray_session import ATTEMPTS, SESSION, RaySession


@pytest.mark.parametrize("failures", [ATTEMPTS - 1, ATTEMPTS])
def test_a_start_that_times_out_is_tried_again_in_another_folder(monkeypatch, failures):
    folders: list[Path] = []

    def init(**settings: object) -> None:
        folders.append(Path(str(settings["_temp_dir"])))
        assert folders[-1].is_dir()
        if len(folders) <= failures:
            raise Exception("The current node timed out during startup.")

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    session = RaySession(None)
    if failures < ATTEMPTS:
        with session:
            session.start()
            assert len(set(folders)) == ATTEMPTS
            assert [folder.exists() for folder in folders] == [False] * failures + [True]
    else:
        with pytest.raises(SetupError, match="did not start on this machine: The current node timed out"), session:
            session.start()
    assert not any(folder.exists() for folder in folders)


def test_a_command_that_ends_meanwhile_is_in_nobodys_way(monkeypatch, tmp_path):
    (tmp_path / f"{SESSION}gone").symlink_to(tmp_path / "nothing")  # its folder is listed, and then not there
    monkeypatch.setattr(ray_session, "PLACE", str(tmp_path))
    monkeypatch.setattr(ray, "init", lambda **_: None)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    with RaySession(None) as session:
        session.start()

"""The quota that a machine remembers may be damaged: requests wait within reason, or a line says which file it is."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from hypothesis import strategies as st
from mangling import FEW_OR_MANY, mangled_sqlite, tried

from manifests.errors import SetupError
from pipelines.web.clock import Clock
from pipelines.web.quota import LONGEST_REQUEST, Quota
from pipelines.web.rate import Rate


class Still(Clock):
    """A clock that stands still; who waits is told by it."""

    def now(self) -> float:
        return 1_000_000.0


@FEW_OR_MANY
def test_a_quota_of_any_content(tmp_path: Path, many: bool) -> None:
    rate = Rate(3, 60.0)

    def sound() -> bytes:
        quota = Quota("key", rate, tmp_path / "sound", Still())
        for _ in range(2):
            with quota.slot():
                pass
        with closing(quota._connection) as database:
            database.execute("PRAGMA journal_mode=DELETE")
        return (tmp_path / "sound" / "quota.sqlite").read_bytes()

    scratch = tmp_path / "scratch"
    scratch.mkdir()
    folder = tmp_path / "state"
    folder.mkdir()

    def check(data: bytes) -> None:
        for path in folder.iterdir():
            path.unlink()
        (folder / "quota.sqlite").write_bytes(data)
        refusal, quota = "", None
        try:
            quota = Quota("key", rate, folder, Still())
            assert 0 <= quota.wait() <= rate.seconds + LONGEST_REQUEST
            taken = quota._take()
            assert isinstance(taken, int) or 0 < taken <= rate.seconds + LONGEST_REQUEST
        except SetupError as error:
            refusal = str(error)
        finally:
            if quota is not None:
                quota._connection.close()
        assert not refusal or str(folder) in refusal

    changed: st.SearchStrategy[bytes] = mangled_sqlite(sound(), scratch)
    tried(check, changed, few=30, many=many)

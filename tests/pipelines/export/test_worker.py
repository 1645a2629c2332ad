"""The worker decodes a photo once, however many of its pictures are wanted."""

from __future__ import annotations

from storing import stored

from pipelines.export import worker
from pipelines.export.picture import Making
from pipelines.export.worker import ExportWorker, Item

SIZES = [(60, 90), (91, 60), (60, 92)]  # width, height of the first originals


def test_one_decode_makes_all_crops_of_a_photo(originals, tmp_path, monkeypatch):
    decoded = []
    real = worker.read_image

    def counting(root, path, min_side):
        decoded.append(path)
        return real(root, path, min_side)

    monkeypatch.setattr(worker, "read_image", counting)
    root, out = tmp_path / "d", tmp_path / "out"
    out.mkdir()
    paths = [stored(root, (originals / f"{at}.png").read_bytes())[1] for at in range(3)]
    items = [
        Item(f"p{at}", paths[at], *SIZES[at], tuple((crop, f"{at}-{crop}.png") for crop in range(5))) for at in range(3)
    ]
    gone = f"images/00/{'0' * 64}.png"
    batch = ExportWorker(root, out, Making(16)).run([*items, Item("gone", gone, 9, 9, ((0, "gone.png"),))])
    assert decoded == [*paths, gone]
    assert batch.rows["made"].to_pylist() == [5, 5, 5, 0]
    assert batch.rows["error"].to_pylist() == [None, None, None, "its file is missing from the image store"]
    assert sorted(path.name for path in out.iterdir()) == sorted(name for one in items for _, name in one.files)

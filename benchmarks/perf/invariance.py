"""Speed of scoring by the invariance stage against the released way: every half decoded by itself at full size.

JPEGs of 12 megapixels, the same networks, the same tiles going in. The networks are untrained: speed does not hang on
their weights. Ours is the stage's worker as the engine runs it, with one decode per picture at the scale it needs;
reading the files is part of both.
"""

import io
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import PIL
import safetensors.torch
import torch
import torchvision
from PIL import Image
from torch import Tensor

from benchmarks.perf._bench import Row, compare, median_seconds, parse_options, publish
from benchmarks.perf.decode import photograph
from manifests.decode import decode
from manifests.store import ImageStore
from models import patch_classifier, resnet_classifier
from pipelines.engine.measure import ImageItem, StageWorker
from pipelines.engine.share import Share
from pipelines.engine.stage import RGB, FitInput
from pipelines.filters import place_networks
from pipelines.filters.invariance import Invariance, InvarianceSettings

PICTURES = 8
CLOSE = 6.0  # levels that tiles of the two ways may differ by on average: Lanczos looks beyond the pixels it covers


def stage_of(network: str, place: Path) -> Invariance:
    """The stage with this network, a ResNet from a file of random weights."""
    if network == "small":
        return Invariance(InvarianceSettings(folds=2))
    weights = place / f"{network}.safetensors"
    if not weights.exists():
        made = resnet_classifier.build(resnet_classifier.Sizes(network), seed=0)
        safetensors.torch.save_file(dict(made.state_dict()), weights)
    return Invariance(InvarianceSettings.model_validate({"network": network, "folds": 2, "weights": weights}))


def artefact_of(stage: Invariance, place: Path) -> Path:
    """A stored fit on no photo at all."""

    def read(sha256: str) -> RGB:
        raise KeyError(sha256)

    folder = place / f"fit-{stage.settings.network}"
    folder.mkdir()
    for name, data in stage.fit(FitInput([], read), lambda *_: None).items():
        (folder / name).write_bytes(data)
    return folder


def halves(path: Path, size: tuple[int, int]) -> Tensor:
    """The released way to a picture's tiles uint8 [2, 3, height, width]: each half from the file, decoded in full."""
    tiles = []
    for half in (0, 1):
        image = Image.open(io.BytesIO(path.read_bytes())).convert("RGB")
        middle = image.width // 2
        cut = image.crop((half * middle, 0, (half + 1) * middle, image.height))
        tiles.append(torch.from_numpy(np.array(cut.resize(size, Image.Resampling.LANCZOS))).permute(2, 0, 1))
    return torch.stack(tiles)


def measure(network: str, items: Sequence[ImageItem], place: Path, repeats: int) -> list[Row]:
    """The rows of one network."""
    stage = stage_of(network, place)
    artefact = artefact_of(stage, place)
    worker = StageWorker(place, stage, artefact, "bench")
    worker.setup(Share())
    facts = resnet_classifier if network != "small" else patch_classifier
    size = (facts.TILE_WIDTH, facts.TILE_HEIGHT)
    judge = stage.judges[0]
    paths = [place / path for _, path in items]
    for path in paths[:2]:
        ours = place_networks.cut(network, decode(path.read_bytes(), stage.min_side), 2)
        if (apart := float((ours.float() - halves(path, size).float()).abs().mean())) > CLOSE:
            raise AssertionError(f"the tiles of the two ways are {apart:.1f} levels apart")
    tiles = [halves(path, size) for path in paths]
    taken = median_seconds(
        {
            "ours": lambda: worker.run_all(items),
            "released": lambda: judge([halves(path, size) for path in paths]),
            "network": lambda: judge(tiles),
        },
        repeats,
    )
    rate = {case: len(items) / seconds for case, seconds in taken.items()}
    return [
        compare(f"{network}: whole stage / each half at full size", rate["ours"], rate["released"], "images/s"),
        compare(f"{network}: whole stage / its network alone", rate["ours"], rate["network"], "images/s"),
    ]


def main() -> None:
    """Measures and prints; about a minute, with --full, which adds the published network, some minutes."""
    options = parse_options("Speed of the invariance stage against decoding each half by itself at full size.")
    networks = ("small", "resnet18", "wide_resnet50_2") if options.full else ("small", "resnet18")
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        with ImageStore(place).batch() as placing:
            placed = [placing.add(photograph(number, 90), "jpg") for number in range(PICTURES)]
        items = [(one.sha256, one.path) for one in placed]
        for network in networks:
            rows += measure(network, items, place, repeats=9 if options.full else 3)
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"cpu, {torch.get_num_threads()} threads"
    publish(
        "invariance",
        rows,
        options,
        torch=torch.__version__,
        torchvision=torchvision.__version__,
        pillow=PIL.__version__,
        device=device,
    )


if __name__ == "__main__":
    main()

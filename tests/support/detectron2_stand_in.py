"""A package that looks from outside like the parts of detectron2 that the adapter uses, around a tiny network."""

from __future__ import annotations

import sys
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

CLASSES = ["person", "bicycle", "car"]


class StandInNetwork(nn.Module):
    """Finds one car in the brightest quarter of every picture, and a person where its weight says so."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = SimpleNamespace(size_divisibility=32)
        self.register_buffer("pixel_mean", torch.zeros(3, 1, 1))
        self.scores = nn.Parameter(torch.zeros(2))
        self.seen: list[Tensor] = []

    def inference(self, inputs: Sequence[Mapping[str, Tensor]], do_postprocess: bool) -> list[Any]:
        assert not do_postprocess
        assert not self.training
        self.seen = [one["image"] for one in inputs]
        return [self._one(one["image"]) for one in inputs]

    def _one(self, image: Tensor) -> Any:
        height, width = image.shape[1:]
        bright = nn.functional.adaptive_avg_pool2d(image.mean(0, keepdim=True), 2).flatten().argmax()
        x, y = (bright % 2) * width / 2, (bright // 2) * height / 2
        boxes = torch.tensor([[float(x), float(y), float(x) + width / 2, float(y) + height / 2], [0, 0, width, height]])
        masks = torch.ones(2, 1, 28, 28)
        masks[1, 0, :14] = 0.1
        chosen = self.scores > 0.05
        return _Instances(
            pred_boxes=SimpleNamespace(tensor=boxes[chosen]),
            scores=self.scores[chosen],
            pred_classes=torch.tensor([2, 0])[chosen],
            pred_masks=masks[chosen],
        )


class _Instances(SimpleNamespace):
    def __len__(self) -> int:
        return len(self.scores)


class _Settings(SimpleNamespace):
    def merge_from_file(self, path: str, allow_unsafe: bool) -> None:
        assert not allow_unsafe
        self.MODEL.MASK_ON = "mask_rcnn" in Path(path).name


def _settings() -> _Settings:
    return _Settings(
        MODEL=SimpleNamespace(DEVICE="cuda", MASK_ON=False, WEIGHTS="https://somewhere"),
        INPUT=SimpleNamespace(FORMAT="BGR", MIN_SIZE_TEST=64, MAX_SIZE_TEST=96),
        DATASETS=SimpleNamespace(TEST=("coco_2017_val",)),
    )


def install(folder: Path, monkeypatch: Any) -> None:
    """Put the package into `folder` and on the path, for one test."""
    package = folder / "detectron2"
    for name in ("mask_rcnn_R_50_FPN_3x", "faster_rcnn_R_50_FPN_3x"):
        config = package / "model_zoo" / "configs" / "COCO-InstanceSegmentation" / f"{name}.yaml"
        config.parent.mkdir(parents=True, exist_ok=True)
        config.write_text("MODEL: {}\n")
    (package / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(folder))
    parts = {
        "config": {"get_cfg": _settings},
        "modeling": {"build_model": lambda settings: StandInNetwork().to(settings.MODEL.DEVICE)},
        "data": {"MetadataCatalog": SimpleNamespace(get=lambda name: SimpleNamespace(thing_classes=CLASSES))},
    }
    for name, content in parts.items():
        module = types.ModuleType(f"detectron2.{name}")
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, f"detectron2.{name}", module)

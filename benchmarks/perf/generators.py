"""Speed of the generators at 256x256: against their convolutions alone, the machine's peak, and the published code.

`--peer` names a checkout of the published ALIS code (which holds its StyleGAN2 too, and needs `omegaconf`): it is
then built here, its weights are put into our networks, both must draw the same pictures, and both take turns. Styles
are given; StyleGAN2 adds its constant noise, ALIS none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from benchmarks.perf._bench import Options, Row, compare, median_seconds, parse_options, publish
from models.allocator import keep_memory

keep_memory()  # before the first tensor

import torch  # noqa: E402
from torch import Tensor  # noqa: E402
from torch.nn import functional  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from benchmarks.perf import _peer  # noqa: E402
from benchmarks.perf._peer import PEERS  # noqa: E402
from models import alis, inference, locogan, published, stylegan2  # noqa: E402
from models.counter_random import Kind  # noqa: E402
from pipelines.engine import threads  # noqa: E402

RESOLUTION = 256
BATCHES = (1, 8)
NETWORKS = ("stylegan2", "alis", "alis-nocoords", "locogan")
SIZES = {"resolution": RESOLUTION, "z_dim": 512, "w_dim": 512, "channel_base": 16384, "mapping_layers": 2}
ALIS_SIZES = {"grid_size": 16, "input_resolution": 16, "w_coord_dist": 4}


def build(model: str) -> inference.Generator:
    """A generator of the published sizes with random weights."""
    torch.manual_seed(0)
    if model == "stylegan2":
        return stylegan2.Generator(stylegan2.Sizes()).eval()
    if model == "locogan":
        return locogan.Generator(locogan.Sizes()).eval()
    return alis.Generator(alis.Sizes(coordinates=model == "alis")).eval()


def styles(model: str, generator: Any, batch: int) -> Tensor:
    """The same ones at every call; for networks with anchors three for each frame."""
    generator_of_z = torch.Generator().manual_seed(1)
    if model in ("stylegan2", "locogan"):
        return cast(Tensor, generator.styles(torch.randn(batch, 512, generator=generator_of_z)))
    return cast(Tensor, generator.styles(torch.randn(3, 512, generator=generator_of_z))[None].expand(batch, -1, -1, -1))


def draw(model: str, generator: Any, batch: int) -> Callable[[], Tensor]:
    """Frames of given styles, ready to be called."""
    border = torch.arange(batch) * 5 % 48
    with torch.no_grad():
        ws = styles(model, generator, batch)
    if model == "stylegan2":
        noise = generator.synthesis.constant_noise()
        return lambda: generator.synthesis(ws, noise)
    if model == "locogan":
        index = torch.arange(batch)
        spatial = generator.frame_spatial(0, Kind.FRAME_SPATIAL, index)
        return lambda: generator.frames(ws, border % 8, spatial)
    return lambda: generator.frames(ws, border)


@dataclass
class Convolutions(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the dense convolutions that are run under it."""

    found: list[tuple[Any, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.convolution.default and args[8] == 1:
            self.found.append(args)
        return func(*args, **(kwargs or {}))


def convolutions_alone(run: Callable[[], Tensor]) -> tuple[Callable[[], None], float]:
    """The dense convolutions of a run, with nothing between, and their thousand million multiply-adds."""
    with torch.no_grad(), Convolutions() as noted:
        run()
    cases, products = [], 0.0
    for x, weight, _, stride, padding, dilation, transposed, extra, groups in noted.found:
        some = torch.randn_like(x, memory_format=torch.preserve_format)
        kernel = weight.detach().clone(memory_format=torch.preserve_format)
        cases.append((some, kernel, None, stride, padding, dilation, transposed, extra, groups))
        pixels = x.shape[0] * x.shape[2] * x.shape[3] / (1 if transposed else stride[0] * stride[1])
        products += pixels * weight.numel() / 1e9

    def alone() -> None:
        for case in cases:
            torch.ops.aten.convolution.default(*case)

    return alone, products


def peak(dtype: torch.dtype) -> float:
    """Multiply-adds a second of the convolution that this machine does best, in thousand millions."""
    x = torch.randn(8, 256, 64, 64).to(dtype).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(256, 256, 3, 3).to(dtype).contiguous(memory_format=torch.channels_last)
    seconds = median_seconds({"": lambda: functional.conv2d(x, weight, padding=1)}, 7, 2)[""]
    return x.shape[0] * 64 * 64 * weight.numel() / seconds / 1e9


def peer(checkout: Path, model: str) -> tuple[Any, inference.Generator]:
    """The published generator with random weights, and ours with the same."""
    theirs = _peer.generator(checkout, model, RESOLUTION, ALIS_SIZES["grid_size"]).eval()
    tensors = {f"G.{name}": tensor for name, tensor in theirs.state_dict().items()}
    ours, _ = published.load(model, SIZES | {"channel_max": 512} | ALIS_SIZES, tensors)
    assert isinstance(ours, inference.Generator)
    return theirs, ours


def draw_theirs(model: str, theirs: Any, ws: Tensor, batch: int) -> Callable[[], Tensor]:
    """The published network's frames of the styles that `draw` gives ours."""
    if model == "stylegan2":
        return lambda: theirs.synthesis(ws, noise_mode="const")
    border = torch.arange(batch) * 5 % 48
    context = torch.stack([ws[:, 0], ws[:, 2]], 1)
    return lambda: theirs.synthesis(ws[:, 1], ws_context=context, left_borders_idx=border, noise_mode="none")


def time_together(cases: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median seconds of each, without gradients."""
    with torch.no_grad():
        return median_seconds(cases, repeats)


def relative_error(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).norm() / theirs.norm())


def against_itself(model: str, repeats: int) -> list[Row]:
    """Frames in float32 against their convolutions alone; bfloat16 against float32; a panorama against frames."""
    generator = build(model)
    plain, half = inference.ready(generator), inference.ready(generator, torch.bfloat16)
    rows = []
    for batch in BATCHES:
        ours = draw(model, plain, batch)
        alone, products = convolutions_alone(ours)
        seconds = time_together({"ours": ours, "alone": alone, "half": draw(model, half, batch)}, repeats)
        each = {name: 1e3 * value / batch for name, value in seconds.items()}
        name = f"{model}, batch {batch}"
        rows.append(compare(f"{name}: float32 / its convolutions alone", each["ours"], each["alone"], "ms/image"))
        rows.append(compare(f"{name}: bfloat16 / float32", each["half"], each["ours"], "ms/image"))
        speed = products / batch / each["ours"] * 1e3
        most = peak(torch.float32)
        rows.append(compare(f"{name}: float32 / peak of one convolution", speed, most, "GMAC/s"))
        rows.append(Row(f"{name}: dense convolutions", round(products / batch, 2), "GMAC/image", None, None))
    if not isinstance(plain, stylegan2.Generator):
        frames, columns = 8, plain.sizes.frame_columns
        cases = {
            "panorama": lambda: plain.columns(0, 0, frames * columns, batch=frames * columns),
            "frames": lambda: plain.samples(0, 0, frames),
        }
        seconds = {name: 1e3 * value / frames for name, value in time_together(cases, repeats).items()}
        name = f"{model}: panorama / frames in batches of {frames}, with random numbers and noise"
        rows.append(compare(name, seconds["panorama"], seconds["frames"], "ms/frame"))
    return rows


def against_peer(checkout: Path, model: str, repeats: int, compile_too: bool) -> list[Row]:
    """Same weights, same styles, same frames; `compile_too`: also ours compiled, at the largest batch."""
    theirs, generator = peer(checkout, model)
    plain, half = inference.ready(generator), inference.ready(generator, torch.bfloat16)
    rows = []
    for batch in BATCHES:
        ours = draw(model, plain, batch)
        cases = {"ours": ours, "theirs": draw_theirs(model, theirs, styles(model, generator, batch), batch)}
        with torch.no_grad():
            error = relative_error(cases["ours"](), cases["theirs"]())
        if error > 1e-5:
            raise SystemExit(f"{model}: the two networks differ by {error:.1e}")
        cases["half"] = draw(model, half, batch)
        titles = {"ours": "float32 / published code", "half": "bfloat16 / published code in float32"}
        if compile_too and batch == max(BATCHES):
            cases["compiled"] = draw(model, inference.compiled(inference.ready(generator)), batch)
            titles["compiled"] = "float32, compiled / published code"
        each = {name: 1e3 * value / batch for name, value in time_together(cases, repeats).items()}
        rows += [
            compare(f"{model}, batch {batch}: {title}", each[case], each["theirs"], "ms/image")
            for case, title in titles.items()
        ]
    return rows


def measure(options: Options) -> list[Row]:
    """All rows."""
    repeats = 7 if options.full else 3
    rows = []
    for model in NETWORKS if options.full else PEERS:
        rows += against_itself(model, repeats)
    if options.peer is None:
        return [*rows, Row("published code", rows[0].value, "ms/image", None, None, "no --peer was named")]
    for model in PEERS:
        rows += against_peer(Path(options.peer), model, repeats, options.full)
    return rows


def main() -> None:
    """Measures and prints; about 100 s on two cores, with --full and a peer about 15 minutes."""
    options = parse_options("Speed of the generators.", peer="a checkout of the published ALIS code")
    threads.fix(threads.cores())
    facts = {"torch": torch.__version__, "threads": str(torch.get_num_threads()), "allocator": "glibc, memory kept"}
    publish("generators", measure(options), options, **facts)


if __name__ == "__main__":
    main()

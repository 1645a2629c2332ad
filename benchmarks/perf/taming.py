"""Speed of Taming Transformers at 256x256 on the published sizes with random weights: a cache against full passes.

The plain way draws each code from a full pass over all codes before it. It is timed on 8 of the 256 codes of a frame,
spread evenly, and scaled; the cached way draws all 256. Both take turns, see the same codes and the same random
numbers, and must choose the same codes. The published code passes whole windows of 256 codes where pictures are wide.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from benchmarks.perf._bench import Options, Row, compare, median_seconds, parse_options, publish
from models.allocator import keep_memory

keep_memory()  # before the first tensor

import torch  # noqa: E402
from torch import Tensor  # noqa: E402

from models import counter_random, gpt, vqgan  # noqa: E402
from models.counter_random import Kind  # noqa: E402
from models.gpt import GPT, Cache, in_format  # noqa: E402
from models.token_sampling import START, Choice, pick  # noqa: E402
from pipelines.engine import threads  # noqa: E402

SIDE = 16
CODES = SIDE * SIDE  # of a frame
TIMED = 8  # full passes
CHOICE = Choice(top_k=100)
BATCHES = (1, 8)  # without --full the first alone
FORMATS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
SPREAD = 5.0  # of random logits: about as sure as a trained transformer


def build() -> GPT:
    """A transformer of the published sizes with random weights."""
    torch.manual_seed(0)
    made = gpt.GPT(gpt.Sizes()).eval().requires_grad_(False)
    made.head.weight *= SPREAD
    made.places.normal_(std=gpt.SPREAD)
    return made


@dataclass
class Frame:
    """A batch of frames drawn with a cache, a stretch at a time. codes: int64 [batch, 1 + CODES], from START on."""

    gpt: GPT
    numbers: Tensor
    codes: Tensor
    cache: Cache
    place: int = 0
    seconds: float = 0.0

    @classmethod
    def begin(cls, network: GPT, batch: int) -> Frame:
        index = torch.arange(batch * CODES)
        numbers = counter_random.uniform(0, Kind.FRAME_TOKEN, index, 1).view(batch, CODES)
        codes = torch.full((batch, 1 + CODES), START)
        return cls(network, numbers, codes, Cache(network, batch, CODES))

    def draw(self, count: int) -> None:
        """The next codes."""
        began = time.perf_counter()
        for _ in range(count):
            (logits,) = self.gpt.advance([(self.codes[:, self.place : self.place + 1], self.cache)])
            self.codes[:, self.place + 1] = pick(logits, self.numbers[:, self.place], CHOICE)
            self.place += 1
        self.seconds += time.perf_counter() - began

    def plainly(self, place: int) -> tuple[Tensor, float]:
        """A code that is drawn already, from a full pass; and its seconds."""
        began = time.perf_counter()
        logits = self.gpt(self.codes[:, : place + 1])[:, -1]
        codes = pick(logits, self.numbers[:, place], CHOICE)
        return codes, time.perf_counter() - began


def frame(network: GPT, batch: int, *, plain: bool = True) -> tuple[float, float]:
    """Seconds of a batch of frames: with a cache, and by full passes (0 where these are not asked for)."""
    drawn, passes = Frame.begin(network, batch), 0.0
    stretch = CODES // TIMED
    Frame.begin(network, batch).draw(2)  # a warm-up
    for first in range(0, CODES, stretch):
        drawn.draw(stretch)
        if plain:
            place = first + stretch // 2
            codes, seconds = drawn.plainly(place)
            passes += seconds * stretch
            if not torch.equal(codes, drawn.codes[:, place + 1]):
                raise SystemExit(f"batch {batch}, code {place}: the two ways chose different codes")
    return drawn.seconds, passes


def reading(network: GPT) -> float:
    """Seconds of reading all matrices once from memory: the least that a code can take."""
    flat = [one.data.view(torch.float32).flatten() for one in network.parameters() if one.ndim == 2]
    return median_seconds({"": lambda: [torch.dot(one, one) for one in flat]}, 5)[""]


def decoder(repeats: int) -> Row:
    """What the pixels cost besides."""
    torch.manual_seed(0)
    network = vqgan.VQGAN(vqgan.Sizes()).eval().requires_grad_(False)
    codes = torch.randint(network.sizes.codes, (1, SIDE, SIDE))
    seconds = median_seconds({"": lambda: network.decode_codes(codes)}, repeats)[""]
    return Row("decoder, batch 1", float(f"{1e3 * seconds:.4g}"), "ms/image", None, None)


def measure(options: Options) -> list[Row]:
    """All rows."""
    whole = build()
    rows, least = [], reading(whole)
    with torch.inference_mode():
        for batch in BATCHES if options.full else BATCHES[:1]:
            cached, passes = frame(whole, batch)
            name = f"float32, batch {batch}: cached / full passes (timed on {TIMED} of {CODES} codes and scaled)"
            rows.append(compare(name, 1e3 * cached / batch, 1e3 * passes / batch, "ms/image"))
            name = f"float32, batch {batch}: a code / reading the matrices once"
            rows.append(compare(name, 1e3 * cached / CODES, 1e3 * least, "ms/code of the batch"))
            if batch == 1:
                alone = cached
        if options.full:
            half = in_format(whole, torch.bfloat16)
            short = reading(half)
            cached, _ = frame(half, 1, plain=False)
            rows.append(compare("batch 1: bfloat16 / float32", 1e3 * cached, 1e3 * alone, "ms/image"))
            name = "bfloat16, batch 1: a code / reading the matrices once"
            rows.append(compare(name, 1e3 * cached / CODES, 1e3 * short, "ms/code of the batch"))
            window = torch.zeros(1, CODES, dtype=torch.int64)
            seconds = median_seconds({"": lambda: whole(window)}, 3)[""] * CODES
            name = "float32, batch 1: cached / a whole window for each code, as published for wide pictures"
            rows.append(compare(name, 1e3 * alone, 1e3 * seconds, "ms/image"))
        rows.append(decoder(5 if options.full else 2))
    return rows


def main() -> None:
    """Measures and prints; with --full 9 minutes on two cores that others kept busy (a load of 5 to 10)."""
    options = parse_options("Speed of Taming Transformers.")
    threads.fix(threads.cores())
    before = os.getloadavg()[0]
    rows = measure(options)
    facts = {"torch": torch.__version__, "threads": str(torch.get_num_threads()), "avx": _vector_unit()}
    load = f"{before:.1f} before, {os.getloadavg()[0]:.1f} after"
    publish("taming", rows, options, **facts, allocator="glibc, memory kept", load=load)


def _vector_unit() -> str:
    return torch.backends.cpu.get_cpu_capability()


if __name__ == "__main__":
    main()

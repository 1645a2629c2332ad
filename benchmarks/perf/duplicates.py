"""Speed of the duplicates stage: groups among 100,000 and 1,000,000 pictures, and what measuring one picture takes.

The hashes are as crowded as those of real pictures, whose bits are not independent: between two of 446 (300 painted,
146 photographs) 31.0 bits differ in the mean, with a deviation of 5.3; here 32.0 and 5.3. One picture in ten is a copy,
up to 6 bits away, every fourth of these mirrored. The baseline is the plain way: every hash with every other and with
every mirror image, in numpy, on fewer pictures, its time scaled by the square of their number.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from benchmarks.perf._bench import Row, compare, median_seconds, parse_options, publish
from manifests.decode import decode
from pipelines.filters.duplicates import Duplicates, DuplicatesSettings
from pipelines.filters.lookalikes import Pictures, Rules, components
from pipelines.filters.perceptual import SIDE, look

FEW, MANY = 100_000, 1_000_000
BASELINE = 20_000  # pictures, for the plain way
COPIES = 0.1
SHARED = 0.385  # weight of what bits have in common; gives the deviation above
SAMPLES = Path(__file__).parents[2] / "samples"
RULES = Rules(radius=6, correlation=0.95, mirrored=True)
ONE = np.uint64(1)


def crowded(rng: np.random.Generator, count: int) -> npt.NDArray[np.uint64]:
    """Hashes whose bits are signs of sums that have parts in common."""
    mixing = rng.standard_normal((12, 64)).astype(np.float32) * SHARED
    parts = []
    for at in range(0, count, 1 << 16):
        rows = min(1 << 16, count - at)
        sums = rng.standard_normal((rows, 12), np.float32) @ mixing + rng.standard_normal((rows, 64), np.float32)
        parts.append(np.packbits(sums > 0, axis=1).view(">u8").astype(np.uint64).ravel())
    return np.concatenate(parts)


def pictures(count: int, seed: int = 0) -> Pictures:
    """`count` pictures, the last tenth copies of the first ones."""
    rng = np.random.default_rng(seed)
    hashes, mirrors = crowded(rng, count), crowded(rng, count)
    thumbs = rng.integers(0, 256, (count, 256), dtype=np.uint8)
    copies = int(count * COPIES)
    bits = ONE << rng.integers(0, 64, (6, copies)).astype(np.uint64)
    bits[rng.random(bits.shape) < 0.5] = 0
    hashes[-copies:] = hashes[:copies] ^ np.bitwise_or.reduce(bits, axis=0)
    mirrors[-copies:] = mirrors[:copies]
    thumbs[-copies:] = np.clip(thumbs[:copies].astype(np.int16) + rng.integers(-9, 10, (copies, 256)), 0, 255)
    turned = np.arange(count - copies, count, 4)
    hashes[turned], mirrors[turned] = mirrors[turned], hashes[turned]
    thumbs[turned] = thumbs[turned].reshape(-1, 16, 16)[:, :, ::-1].reshape(-1, 256)
    return Pictures(hashes, mirrors, thumbs)


def plain_pairs(some: Pictures) -> Iterator[tuple[int, int, bool]]:
    """All pairs within the radius, by comparing all with all."""
    for at in range(len(some)):
        for there, mirrored in ((some.hash, False), (some.mirror, True)):
            near = np.flatnonzero(np.bitwise_count(some.hash[at] ^ there) <= RULES.radius)
            yield from ((at, int(other), mirrored) for other in near if other != at)


def plain(some: Pictures) -> npt.NDArray[np.int64]:
    """Groups the plain way: of every picture the first of its group."""
    first = list(range(len(some)))

    def find(one: int) -> int:
        while first[one] != one:
            first[one] = one = first[first[one]]
        return one

    for one, other, mirrored in plain_pairs(some):
        pair = np.array([one]), np.array([other])
        if find(one) != find(other) and some.correlations(*pair, mirrored)[0] >= RULES.correlation:
            low, high = sorted((find(one), find(other)))
            first[high] = low
    return np.array([find(one) for one in range(len(some))])


def view(of: Pictures) -> pa.Table:
    """What the stage decides on."""
    count = len(of)
    number = pa.array([f"{at:064x}" for at in range(count)])
    side = np.random.default_rng(1).integers(1024, 6000, (2, count)).astype(np.int32)
    return pa.table(
        {
            **{"photo_id": number, "sha256": number, "license": pa.array(["CC-BY-2.0", "CC0-1.0"]).take(side[0] % 2)},
            **{"file_width": side[0], "file_height": side[1], "others": np.ones(count, bool)},
            **{"hash": of.hash, "mirror_hash": of.mirror},
            "thumbnail": pa.FixedSizeBinaryArray.from_buffers(
                pa.binary(256), count, [None, pa.py_buffer(of.thumb.tobytes())]
            ),
        }
    )


def measuring(repeats: int) -> list[Row]:
    """Hash, mirror hash and thumbnail of the sample photographs, against decoding them at the stage's scale."""
    paths = sorted(SAMPLES.glob("*.jpg"))
    encoded = [path.read_bytes() for path in paths]
    images = [decode(data, SIDE) for data in encoded]
    cases = {
        "look": lambda: [look(image) for image in images],
        "decode": lambda: [decode(data, SIDE) for data in encoded],
    }
    taken = {name: 1e3 * seconds / len(paths) for name, seconds in median_seconds(cases, repeats).items()}
    return [compare("hashes and thumbnail of a sample photograph / decoding it", taken["look"], taken["decode"], "ms")]


def main() -> None:
    """Measures and prints; within 120 s, with --full some minutes."""
    options = parse_options("Speed of the duplicates stage.")
    few, stage = pictures(FEW), Duplicates(DuplicatesSettings())
    some = pictures(BASELINE)
    if not np.array_equal(components(some, RULES), plain(some)):
        raise AssertionError("the index and the plain way do not agree")
    table = view(few)
    cases = {
        "groups": lambda: components(few, RULES),
        "decide": lambda: stage.decide(table),
        "plain": lambda: plain(some),
    }
    taken = median_seconds(cases, repeats=5 if options.full else 1)
    scaled = taken["plain"] * (FEW / BASELINE) ** 2
    rows = [
        compare(f"groups among {FEW:,} hashes / all with all", taken["groups"], scaled, "s"),
        compare(f"the stage decides on {FEW:,} photos / all with all", taken["decide"], scaled, "s"),
    ]
    many = pictures(MANY)
    taken = median_seconds(
        {"many": lambda: components(many, RULES)}, repeats=3 if options.full else 1, warm_up=1 if options.full else 0
    )
    rows.append(compare(f"groups among {MANY:,} hashes / all with all", taken["many"], scaled * (MANY / FEW) ** 2, "s"))
    rows += measuring(9 if options.full else 3)
    publish("duplicates", rows, options, numpy=np.__version__)


if __name__ == "__main__":
    main()

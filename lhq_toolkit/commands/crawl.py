"""`lhq crawl`: bring photographs into a dataset."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lhq_toolkit import __version__
from lhq_toolkit.commands.options import DatasetPath, Json, RayAddress, Workers
from manifests.errors import MisuseError

if TYPE_CHECKING:
    from pipelines.crawl import Crawled
    from pipelines.sources.base import Source

SOURCES = ("folder", "synthetic")


def crawl(
    dataset: DatasetPath,
    source: Annotated[list[str], typer.Option("--source", help=f"Where from: {', '.join(SOURCES)}; may be repeated.")],
    path: Annotated[
        Path | None, typer.Option("--path", help="folder: take every image file below this folder.")
    ] = None,
    label: Annotated[
        str | None, typer.Option("--label", help="folder: first part of the ids.", show_default="the folder's name")
    ] = None,
    metadata: Annotated[
        Path | None, typer.Option("--metadata", help="folder: CSV or Parquet with titles, tags, authors, licences.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="synthetic: how many scenes.")] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="synthetic: which world is painted.", show_default="0")
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try again what failed or was given up, too.")
    ] = False,
    workers: Workers = None,
    ray_address: RayAddress = None,
    json_: Json = False,
) -> int:
    """Bring photographs into DATASET, which is made where it is missing.

    The same command again goes on where it stopped and fetches nothing twice.
    """
    from manifests.dataset import Dataset
    from pipelines import crawl as pipeline
    from pipelines.engine.pool import open_pool

    options = _Options(path, label, metadata, limit, seed)
    options.refuse_unused(source)
    sources = [_make(name, options, dataset) for name in dict.fromkeys(source)]
    opened = Dataset.open_or_create(dataset, __version__)
    with open_pool(workers, ray_address) as pool:
        crawled = pipeline.run(opened, sources, pool, pipeline.Wish(retry_failed=retry_failed))
    print(json.dumps(_as_json(crawled)) if json_ else _as_text(crawled, dataset))
    if crawled.failed:
        print(
            f"lhq: {crawled.failed:,} photos failed for a passing reason: run the same command again to try them",
            file=sys.stderr,
        )
    return 1 if crawled.failed else 0


class _Options:
    """The options of single sources; each must belong to a source that was named."""

    def __init__(
        self, path: Path | None, label: str | None, metadata: Path | None, limit: int | None, seed: int | None
    ) -> None:
        self.path, self.label, self.metadata, self.limit, self.seed = path, label, metadata, limit, seed

    def refuse_unused(self, sources: Sequence[str]) -> None:
        """MisuseError for an option that none of the sources named would look at."""
        for name, option, value in (
            ("folder", "--path", self.path),
            ("folder", "--label", self.label),
            ("folder", "--metadata", self.metadata),
            ("synthetic", "--limit", self.limit),
            ("synthetic", "--seed", self.seed),
        ):
            if value is not None and name not in sources:
                raise MisuseError(
                    f"{option} is for --source {name}, which is not named: name it, or leave {option} out"
                )


def _make(name: str, options: _Options, dataset: Path) -> Source:
    if name == "folder":
        from pipelines.sources.folder import Folder

        if options.path is None:
            raise MisuseError("--source folder needs --path, the folder that holds the photographs")
        return Folder.scan(options.path, options.label, options.metadata, leave=dataset)
    if name == "synthetic":
        from pipelines.sources.synthetic import Synthetic

        if options.limit is None:
            raise MisuseError("--source synthetic is endless: say how many scenes with --limit")
        return Synthetic(options.limit, options.seed or 0)
    raise MisuseError(f"no source is called {name!r}; there are: {', '.join(SOURCES)}")


def _as_json(crawled: Crawled) -> dict[str, object]:
    return {
        "found": crawled.found,
        "new": crawled.new,
        "fetched": crawled.fetched,
        "failed": crawled.failed,
        "given_up": crawled.given_up,
        "given_up_before": crawled.given_up_before,
        "notes": crawled.notes,
    }


def _as_text(crawled: Crawled, dataset: Path) -> str:
    lines = [
        f"{dataset}: {crawled.found:,} photos listed ({crawled.new:,} new), {crawled.fetched:,} files fetched now, "
        f"{sum(crawled.given_up.values()):,} given up, {crawled.failed:,} left to try again"
    ]
    lines += [f"  given up: {reason} ({count:,})" for reason, count in sorted(crawled.given_up.items())]
    if crawled.given_up_before:
        lines.append(f"  given up in earlier runs: {crawled.given_up_before:,} (--retry-failed tries them again)")
    lines += [f"  note: {note}" for note in crawled.notes]
    return "\n".join(lines)

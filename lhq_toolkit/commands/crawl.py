"""`lhq crawl`: bring photographs into a dataset."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lhq_toolkit import __version__
from lhq_toolkit.commands.options import DatasetPath, Json, RayAddress, Workers
from lhq_toolkit.crawl_sources import CONNECTIONS, IMAGE_RATE, SOURCES, Maker, Options
from lhq_toolkit.terminal import say
from manifests.counts import plural
from manifests.errors import MisuseError

if TYPE_CHECKING:
    from pipelines.crawl import Crawled, Wish


def crawl(
    dataset: DatasetPath,
    source: Annotated[
        list[str],
        typer.Option(
            "--source",
            metavar="NAME",
            help=f"Where from: {', '.join(SOURCES.ours)}, or a source of another package; repeatable.",
        ),
    ],
    path: Annotated[
        list[Path] | None,
        typer.Option(
            "--path",
            metavar="PATH",
            help="folder: take every image file below it. unsplash-dataset: a release's folder or zip. "
            "lsun: an LMDB folder; repeatable.",
        ),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(
            "--label", metavar="LABEL", help="folder: first part of the ids.", show_default="the folder's name"
        ),
    ] = None,
    metadata: Annotated[
        Path | None,
        typer.Option("--metadata", metavar="FILE", help="folder: CSV or Parquet with titles, tags, authors, licences."),
    ] = None,
    queries: Annotated[
        Path | None,
        typer.Option(
            "--queries", metavar="FILE", help="unsplash, flickr: search queries, one a line.", show_default="our 450"
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", metavar="N", min=1, help="Photos of each source at most (synthetic: how many scenes)."),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", metavar="N", min=0, help="synthetic: which world is painted.", show_default="0"),
    ] = None,
    objects: Annotated[
        bool, typer.Option("--objects", help="synthetic: people, animals, vehicles in some scenes.")
    ] = False,
    copies: Annotated[
        bool, typer.Option("--copies", help="synthetic: some scenes once more, resized, cropped, mirrored, brighter...")
    ] = False,
    control: Annotated[
        bool, typer.Option("--control", help="synthetic: leaves in the left half, instead of subjects in the middle.")
    ] = False,
    metadata_only: Annotated[bool, typer.Option("--metadata-only", help="List photos, fetch no file.")] = False,
    full_tags: Annotated[
        bool, typer.Option("--full-tags", help="unsplash: one more request per photo, for all its tags.")
    ] = False,
    max_side: Annotated[
        int | None,
        typer.Option(
            "--max-side",
            metavar="PIXELS",
            min=1,
            help="unsplash, unsplash-dataset: longer side of what is fetched, pixels.",
        ),
    ] = None,
    min_confidence: Annotated[
        float | None,
        typer.Option(
            "--min-confidence",
            metavar="PERCENT",
            help="unsplash-dataset: percent that makes a keyword a tag.",
            show_default="50",
        ),
    ] = None,
    have_permission: Annotated[
        list[str] | None,
        typer.Option("--have-permission", metavar="SOURCE", help="unsplash: they allowed you this use; fetch files."),
    ] = None,
    unsplash_quota: Annotated[
        str | None,
        typer.Option("--unsplash-quota", metavar="N[/s|min|h]", help="Requests to Unsplash.", show_default="50/h"),
    ] = None,
    flickr_quota: Annotated[
        str | None,
        typer.Option("--flickr-quota", metavar="N[/s|min|h]", help="Requests to Flickr.", show_default="3600/h"),
    ] = None,
    flickr_licenses: Annotated[
        str | None,
        typer.Option(
            "--flickr-licenses",
            metavar="IDS",
            help="Licences to search for, by Flickr's numbers.",
            show_default="2,4,8,9,10",
        ),
    ] = None,
    image_rate: Annotated[
        str | None,
        typer.Option(
            "--image-rate",
            metavar="N[/s|min|h]",
            help="Image requests per host, all workers together; none: no limit.",
            show_default=IMAGE_RATE,
        ),
    ] = None,
    connections: Annotated[
        int | None,
        typer.Option(
            "--connections",
            metavar="N",
            min=1,
            help="Image requests under way per source, all workers together.",
            show_default=str(CONNECTIONS),
        ),
    ] = None,
    use_proxy: Annotated[bool, typer.Option("--use-proxy", help="Heed the proxies of the environment.")] = False,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="SOURCE.NAME=VALUE", help="A setting of a source of another package; repeatable."
        ),
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try again what failed or was given up, too.")
    ] = False,
    recheck: Annotated[
        bool,
        typer.Option("--recheck", help="unsplash, flickr: look known photos up again, mark those gone or relicensed."),
    ] = False,
    plan: Annotated[
        bool, typer.Option("--plan", help="Only tell what a crawl from the beginning would ask and fetch.")
    ] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="With --plan: ask no API, estimate from LHQ's own crawl.")
    ] = False,
    workers: Workers = None,
    ray_address: RayAddress = None,
    json_: Json = False,
) -> int:
    """Bring photographs into DATASET, which is made where it is missing.

    The same command again goes on where it stopped and fetches nothing twice. Keys come from the environment or a
    file .env: UNSPLASH_ACCESS_KEY, FLICKR_API_KEY; LHQ_CONTACT, an e-mail address or URL, tells hosts who asks.
    """
    from manifests.dataset import Dataset
    from manifests.settings import parse
    from pipelines import crawl as pipeline
    from pipelines.engine.pool import open_pool

    names = list(dict.fromkeys(source))
    options = Options(
        paths=path,
        label=label,
        metadata=metadata,
        limit=limit,
        seed=seed,
        objects=objects,
        control=control,
        copies=copies,
        queries=queries,
        full_tags=full_tags,
        max_side=max_side,
        min_confidence=min_confidence,
        have_permission=have_permission,
        unsplash_quota=unsplash_quota,
        flickr_quota=flickr_quota,
        flickr_licenses=flickr_licenses,
        image_rate=image_rate,
        connections=connections,
        use_proxy=use_proxy,
        settings=parse(set_ or [], "source.name=value"),
    )
    wish = pipeline.Wish(metadata_only, retry_failed, recheck, limit)
    if recheck and (metadata_only or retry_failed):
        raise MisuseError("--recheck lists and fetches nothing: leave --metadata-only and --retry-failed out")
    if offline and not plan:
        raise MisuseError("--offline is for --plan: add it, or leave --offline out")
    maker = Maker(names, options, dataset)
    if plan:
        return _plan(maker, wish, offline, json_)
    sources = maker.make()
    opened = Dataset.open_or_create(dataset, __version__)
    with open_pool(workers, ray_address) as pool:
        crawled = pipeline.run(opened, sources, pool, wish)
    say(json.dumps(dataclasses.asdict(crawled)) if json_ else _as_text(crawled, dataset))
    if not crawled.is_complete:
        print(f"lhq: {_what_is_left(crawled)}: run the same command again to go on", file=sys.stderr)
    return 0 if crawled.is_complete else 1


def _plan(maker: Maker, wish: Wish, offline: bool, json_: bool) -> int:
    from lhq_toolkit import crawl_plan

    if wish.retry_failed or wish.recheck:
        raise MisuseError("--plan tells of a crawl from the beginning: leave --retry-failed and --recheck out")
    outlooks = crawl_plan.outlooks(maker, offline=offline, metadata_only=wish.metadata_only)
    print(json.dumps(crawl_plan.as_json(outlooks)) if json_ else crawl_plan.as_text(outlooks))
    return 0


def _what_is_left(crawled: Crawled) -> str:
    parts = [f"{name} is not read to its end" for name in crawled.unread]
    if crawled.failed:
        parts.append(f"{plural(crawled.failed, 'photo')} failed for a passing reason")
    if crawled.untried:
        parts.append("photos were not tried, because their host is down")
    return "; ".join(parts)


def _as_text(crawled: Crawled, dataset: Path) -> str:
    lines = [
        f"{dataset}: {plural(crawled.found, 'photo')} listed ({crawled.new:,} new), "
        f"{plural(crawled.fetched, 'file')} fetched now, {sum(crawled.given_up.values()):,} given up, "
        f"{crawled.failed:,} left to try again"
    ]
    lines += [f"  given up: {reason} ({count:,})" for reason, count in sorted(crawled.given_up.items())]
    if crawled.given_up_before:
        lines.append(f"  given up in earlier runs: {crawled.given_up_before:,} (--retry-failed tries them again)")
    if crawled.unwanted:
        lines.append(f"  not fetched, because the tags or sizes of 'curated' reject them: {crawled.unwanted:,}")
    lines += [f"  note: {note}" for note in crawled.notes]
    return "\n".join(lines)

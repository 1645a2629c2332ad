"""`lhq filter`: puts stages into a subset's recipe, measures what is missing, decides, and keeps the recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from manifests import recipes, reviews
from manifests.dataset import RECIPES_LOCK, SHORT_LOCK_SECONDS, Dataset
from manifests.errors import MisuseError
from manifests.recipes import Recipe, Step
from manifests.settings import parse
from pipelines.engine.measure import Measured, bring_up_to_date, current_fingerprint, sweep
from pipelines.engine.pool import Pool
from pipelines.engine.stage import Stage
from pipelines.filters import STAGES, brought_by, in_order, make_stage, used_by
from pipelines.funnel import Found, Funnel, columns_read, in_funnel_order, stage_of

BUDGETS: Mapping[str, Mapping[str, Mapping[str, str]]] = {  # what a budget of the benchmark sets, by stage
    "smoke": {"invariance": {"network": "small"}},
    "small": {"invariance": {"network": "small"}},
    "paper": {"invariance": {"network": "wide_resnet50_2"}},  # as published
}


@dataclass(frozen=True)
class Request:
    """What the user asks of a subset's recipe."""

    subset: str = recipes.DEFAULT
    stages: tuple[str, ...] = ()  # to add, or to bring up to date
    settings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # stage -> name -> text
    drop: tuple[str, ...] = ()
    refit: bool = False
    everything: bool = False  # measure all photos, not only those that reach the stage
    retry_errors: bool = False


@dataclass(frozen=True)
class Filtered:
    """The funnel as it is now, and what each image stage measured in this run."""

    recipe: Recipe
    funnel: Funnel
    measured: Mapping[str, Measured]


def parse_settings(texts: Sequence[str]) -> dict[str, dict[str, str]]:
    """`stage.name=value` texts by stage."""
    settings = parse(texts, "stage.name=value, such as resolution.min_side=256")
    for stage, given in settings.items():
        if stage not in (known := STAGES.names()):
            text = next(f"{stage}.{name}={value}" for name, value in given.items())
            raise MisuseError(f"--set {text}: no stage is called {stage!r}; there are: {', '.join(known)}")
    return settings


def with_budget(
    settings: Mapping[str, Mapping[str, str]], budget: str | None, stages: Sequence[str]
) -> dict[str, dict[str, str]]:
    """The settings, and those of a budget for the stages that are named; what is set by itself counts more."""
    if budget is not None and budget not in BUDGETS:
        raise MisuseError(f"--budget {budget}: there is no such budget; there are: {', '.join(BUDGETS)}")
    of_budget = BUDGETS[budget] if budget is not None else {}
    both: dict[str, dict[str, str]] = {name: dict(given) for name, given in of_budget.items() if name in stages}
    for name, given in settings.items():
        both[name] = {**both.get(name, {}), **given}
    return both


def run(dataset: Dataset, request: Request, pool: Pool) -> Filtered:
    """Bring the subset up to date: recipe first, then stage by stage. Safe to kill and run again."""
    recipe = _saved_as_asked(dataset, request)
    stages = {step.stage: stage_of(recipe, step) for step in recipe.steps}
    for stage in stages.values():
        stage.weights_hash()  # SetupError before anything is measured, not between
    funnel = Funnel(dataset, columns_read(stages.values()))
    measured: dict[str, Measured] = {}
    for step in in_funnel_order(recipe.steps):
        stage = stages[step.stage]
        if stage.min_side is None:
            funnel.decide(stage, step.fingerprint)
            continue
        done, found = _bring_up_to_date(funnel, stage, request, pool)
        measured[stage.name] = done
        recipe = _record(dataset, recipe, replace(step, fingerprint=done.fingerprint))
        funnel.decide(stage, done.fingerprint, found)
    mark = funnel.verdicts.sha256() if funnel.verdicts else None
    record_reviews(dataset, recipe.name, mark)
    return Filtered(replace(recipe, reviews=mark), funnel, measured)


def record_reviews(dataset: Dataset, subset: str, mark: str | None) -> None:
    """Note in a subset's recipe, if there is one, the hash of the human verdicts that it stands with."""
    with dataset.lock(RECIPES_LOCK, wait_seconds=SHORT_LOCK_SECONDS):
        now = recipes.load(dataset.root, subset)
        if now is not None and now.reviews != mark:
            recipes.save(dataset.root, replace(now, reviews=mark))


def _bring_up_to_date(funnel: Funnel, stage: Stage[Any], request: Request, pool: Pool) -> tuple[Measured, Found | None]:
    """Measure what is missing; where nothing is, the measurements that were found."""
    refit = is_refit(request, stage)
    mark = current_fingerprint(funnel.dataset, stage)
    if mark is not None and not (refit or request.everything or request.retry_errors):
        found = funnel.find(stage, mark)
        if found.complete:
            return sweep(funnel.dataset, stage, mark), found
    images = funnel.photos.select(["sha256", "path"])
    done = bring_up_to_date(
        funnel.dataset,
        stage,
        images.filter(pa.array(funnel.reaching(stage))),
        pool,
        measure=images.filter(pa.array(funnel.ok_file)) if request.everything else None,
        refit=refit,
        retry_errors=request.retry_errors,
    )
    return done, None


def is_refit(request: Request, stage: Stage[Any]) -> bool:
    """Whether the stage is to be fitted anew: all fitted stages are, where none is named."""
    return request.refit and (stage.name in request.stages or not request.stages)


def asked_for(dataset: Dataset, request: Request) -> Recipe:
    """The subset's recipe with the request's changes; nothing is saved."""
    return changed(recipes.load(dataset.root, request.subset) or _new(dataset, request), request)


def _saved_as_asked(dataset: Dataset, request: Request) -> Recipe:
    """The subset's recipe with the request's changes, saved before anything is measured."""
    with dataset.lock(RECIPES_LOCK, wait_seconds=SHORT_LOCK_SECONDS):
        recipe = asked_for(dataset, request)
        recipes.save(dataset.root, recipe)
    return recipe


def _new(dataset: Dataset, request: Request) -> Recipe:
    """A new subset starts empty, or as a copy of `curated` where no stage is named."""
    if request.stages or request.subset == recipes.DEFAULT:
        return Recipe(request.subset)
    curated = recipes.load(dataset.root, recipes.DEFAULT)
    if curated is None:
        raise MisuseError(f"subset {request.subset!r} is new and there is no 'curated' to copy: name its stages")
    return replace(curated, name=request.subset)


def changed(recipe: Recipe, request: Request) -> Recipe:
    """The recipe after adding, setting and dropping; MisuseError where the request does not fit it."""
    for stage in request.drop:
        if recipe.step(stage) is None and stage not in (known := STAGES.names()):
            raise MisuseError(f"--drop {stage}: there is no such stage; there are: {', '.join(known)}")
        if recipe.step(stage) is None:
            raise MisuseError(f"--drop {stage}: it is not in the recipe of {recipe.name!r}")
    if overlap := sorted(set(request.drop) & set(request.stages)):
        raise MisuseError(f"{overlap[0]} is both named and dropped: choose one")
    kept = [step for step in recipe.steps if step.stage not in request.drop]
    for step in kept:
        stage_of(recipe, step)  # SetupError where it is not known, or no longer
    named = {step.stage for step in kept} | set(request.stages)
    for stage, given in request.settings.items():
        if stage not in named:
            typed = ", ".join(f"{stage}.{name}={value}" for name, value in given.items())
            raise MisuseError(
                f"--set {typed}: {stage} is not in the recipe of {recipe.name!r}; add it with --stage {stage}"
            )
    steps = [_step(recipe, stage, request.settings.get(stage, {})) for stage in in_order(named)]
    if not steps and not request.drop:
        raise MisuseError(f"the recipe of {recipe.name!r} is empty: name stages, such as --tags --resolution, or --all")
    return replace(recipe, steps=tuple(steps))


def _step(recipe: Recipe, name: str, settings: Mapping[str, str]) -> Step:
    """The step with new settings; its fingerprint stays while the measuring parameters do."""
    old = recipe.step(name)
    stage = make_stage(name, {**(old.settings if old else {}), **settings})
    uses = used_by(stage, old)
    if old is None or settings:
        stage.weights_hash()  # SetupError where a file they name is missing, before the recipe says so for good
    plugin = brought_by(name)
    package, version = (plugin.package, plugin.version) if plugin else (None, None)
    step = Step(name, stage.settings.model_dump(mode="json"), None, package, version, uses)
    if old is not None and make_stage(name, old.settings).settings.measuring() == stage.settings.measuring():
        return replace(step, fingerprint=old.fingerprint)
    return step


def _record(dataset: Dataset, recipe: Recipe, step: Step) -> Recipe:
    """Note the fingerprint a stage is measured with; a recipe changed meanwhile by another command keeps its change."""
    with dataset.lock(RECIPES_LOCK, wait_seconds=SHORT_LOCK_SECONDS):
        now = recipes.load(dataset.root, recipe.name) or recipe
        there = now.step(step.stage)
        if there is not None and dict(there.settings) == dict(step.settings):
            recipes.save(dataset.root, now.with_step(step))
    return recipe.with_step(step)


def existing(dataset: Dataset, subset: str) -> Recipe:
    """The recipe of a subset, with the reviews that stand now; before any filter `curated` is the empty recipe, every
    photo with an ok file."""
    recipe = recipes.load(dataset.root, subset)
    if recipe is None and subset == recipes.DEFAULT:
        recipe = Recipe(subset)
    if recipe is None:
        there = ", ".join(recipes.names(dataset.root)) or "none yet"
        raise MisuseError(f"no subset is called {subset!r} in {dataset.root}; there are: {there}")
    return replace(recipe, reviews=reviews.load(dataset.root).sha256())

"""What a measurement depends on, as one hash: equal fingerprints mean equal measurements."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from manifests.plugins import behind
from pipelines.engine.stage import Stage


def hash_of_set(sha256s: Iterable[str]) -> str:
    """Hash of a set of files, whatever their order."""
    return hashlib.sha256("\n".join(sorted(sha256s)).encode()).hexdigest()


def identity(stage: Stage[Any]) -> dict[str, Any]:
    """Everything but the photos it was fitted on: version, measuring parameters, weights; the package, if not ours."""
    plugin = behind(type(stage))
    return {
        "stage": stage.name,
        "version": stage.version,
        "measuring": stage.settings.measuring(),
        "weights": stage.weights_hash(),
        **({} if plugin is None else {"package": plugin.package}),
    }


def fingerprint(stage: Stage[Any], fitted_on: str | None) -> str:
    """Hash of the stage's identity and, for a fitted stage, of the set it was fitted on."""
    facts = {**identity(stage), "fitted_on": fitted_on}
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()

"""Which checkout this is: every node of a cluster must run the same one."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path

_PACKAGES = ("manifests", "models", "pipelines", "benchmarks", "lhq_toolkit")  # what runs in workers
_KINDS = {".py", ".txt"}


@cache
def checkout() -> str:
    """Hash of the sources that workers run, as this process would import them."""
    digest = hashlib.sha256()
    for package in _PACKAGES:
        spec = find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise ImportError(f"package {package} is not installed; run: make setup")
        root = Path(spec.submodule_search_locations[0])
        for path in sorted(path for path in root.rglob("*") if path.suffix in _KINDS):
            digest.update(f"{package}/{path.relative_to(root).as_posix()}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()

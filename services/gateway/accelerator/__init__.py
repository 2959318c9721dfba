"""The typed accelerator: the data path's own sources, compiled with the types in the `.pxd` files beside them.

There is no second copy of anything. What `make accelerate` builds lies beside the sources, and Python prefers it;
`make clean-accelerator` removes it, `GATEWAY_PURE=1` passes it by. See docs/adr/0010.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from importlib.machinery import (
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    ModuleSpec,
    SourceFileLoader,
)
from pathlib import Path
from types import ModuleType

PACKAGE = "services.gateway"
_ROOT = Path(__file__).parents[3]


def declared(root: Path = _ROOT) -> list[Path]:
    """The sources that can be compiled: those with a declaration of types beside them."""
    return [one.with_suffix(".py") for one in sorted((root / "services" / "gateway").rglob("*.pxd"))]


def module_name(source: Path, root: Path = _ROOT) -> str:
    """As it is imported."""
    return ".".join(source.relative_to(root).with_suffix("").parts)


def compiled_beside(source: Path) -> Path:
    """Where the compiled form of a source lies if there is one."""
    return source.with_suffix(EXTENSION_SUFFIXES[0])


def stale(root: Path = _ROOT) -> list[str]:
    """The modules whose compiled form is older than their source or declaration, and would be imported all the same."""
    return [
        module_name(source, root)
        for source in declared(root)
        if (built := compiled_beside(source)).exists()
        and built.stat().st_mtime < max(source.stat().st_mtime, source.with_suffix(".pxd").stat().st_mtime)
    ]


def form() -> str:
    """Which form of the data path this process has imported, in words for its log."""
    names = [module_name(source) for source in declared()]
    count = sum(
        isinstance(getattr(sys.modules.get(name), "__loader__", None), ExtensionFileLoader) for name in names
    )
    if not count:
        return "pure Python"
    old = stale()
    if old:
        return f"compiled, {', '.join(old)} from an older source: run `make accelerate` again"
    return "compiled" if count == len(names) else f"compiled, {count} of {len(names)} modules"


class SourcesOnly:
    """Finds the gateway's modules as sources, whatever lies beside them (a `sys.meta_path` finder)."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not name.startswith(PACKAGE + "."):
            return None
        for folder in path or ():
            spec = FileFinder(folder, (SourceFileLoader, SOURCE_SUFFIXES)).find_spec(name)
            if spec is not None:
                return spec
        return None


def heed(environ: Mapping[str, str] = os.environ) -> None:
    """Keep to the sources if `GATEWAY_PURE` says so. To be called before any module of the data path is imported."""
    if environ.get("GATEWAY_PURE", "0") not in ("", "0"):
        sys.meta_path.insert(0, SourcesOnly)

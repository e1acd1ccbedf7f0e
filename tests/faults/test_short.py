"""The fault suite in a short form, on services of its own that it may kill: half a minute of it for every build.

It runs as its own program, so that it is tried as it is used, and nothing of it is left in this process.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.__main__ import KEPT, NO_SERVICES, NO_SPREAD
from tests.faults.nemesis import LENGTHS, plan, planned_seconds

ROOT = Path(__file__).parents[2]
COMMANDS, FAULTS, TIMEOUT_SECONDS = 600, 3, 300
pytestmark = pytest.mark.fault  # a minute each: CI runs them by themselves

SEEDS = (5, 9)  # with three workers and with one


def faults(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The suite has run; the test is skipped only where there are no private services at all."""
    command = [sys.executable, "-m", "tests.faults", *arguments]
    done = subprocess.run(  # noqa: S603 - our own command line, no shell
        command, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
    )
    if done.returncode == NO_SERVICES:
        pytest.skip(f"no private services here: {done.stdout.strip()}")
    return done


def test_the_promise_is_kept_through_quick_faults() -> None:
    sizes = "--commands", str(COMMANDS), "--faults", str(FAULTS)
    done = faults("--quick", "--seeds", ",".join(map(str, SEEDS)), *sizes)
    assert done.returncode == KEPT, done.stdout + done.stderr


def test_queues_spread_over_three_workers_and_move_within_a_second() -> None:
    """RabbitMQ 4 does that; on 3.10 the others stand by."""
    done = faults("--spread")
    if done.returncode == NO_SPREAD:
        pytest.skip(done.stdout.strip())
    assert done.returncode == KEPT, done.stdout + done.stderr


def test_the_quick_faults_are_of_all_sorts() -> None:
    struck = {step.kind for seed in SEEDS for step in plan(seed, FAULTS, seed % 3 + 1, quick=True)}
    assert struck >= {"worker_kill", "database_immediate", "amqp_cut", "broker_close_all"}


def test_a_seed_always_makes_the_same_plan_and_twenty_seeds_make_every_fault() -> None:
    assert plan(7, 9, 3) == plan(7, 9, 3) != plan(8, 9, 3)
    assert {step.kind for seed in range(1, 21) for step in plan(seed, 9, 3)} == set(LENGTHS)


def test_a_plan_of_the_usual_size_fits_into_a_hundred_seconds() -> None:
    assert max(planned_seconds(plan(seed, 9, seed % 3 + 1)) for seed in range(1, 101)) <= 100

"""Only what a live server refused and our own bugs cost attempts; pauses are long enough, and an outage is free."""

import asyncio
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.harness.retried import DEFAULT, Work, give_up
from worker.errors import DatabaseUnavailableError, PublishNotConfirmedError, StatementFailedError
from worker.outcomes import Letter, Reason
from worker.persistence.gate import Gate
from worker.retry import Backoff, Retry, RetryPolicy

DEADLOCK = "40P01"


def _refused() -> StatementFailedError:
    return StatementFailedError(DEADLOCK)


async def test_what_succeeds_at_once_is_run_once_without_a_pause(gate: Gate, pauses: list[float]) -> None:
    work = Work([])
    assert await Retry(gate, DEFAULT).until_done(work, give_up) == "done"
    assert work.runs == 1
    assert pauses == []


@pytest.mark.parametrize(
    ("error", "attempts", "reason"),
    [
        (_refused, DEFAULT.refused.attempts, Reason.RETRIES_EXHAUSTED),
        (ZeroDivisionError, DEFAULT.bug.attempts, Reason.HANDLER_FAILED),
    ],
)
async def test_it_is_given_up_when_its_attempts_are_spent_and_not_before(
    gate: Gate, pauses: list[float], error: Callable[[], Exception], attempts: int, reason: Reason
) -> None:
    retry = Retry(gate, DEFAULT)
    lucky = Work([error() for _ in range(attempts - 1)])
    assert await retry.until_done(lucky, give_up) == "done"
    doomed = Work([error() for _ in range(attempts)])
    assert await retry.until_done(doomed, give_up) == f"{reason} after {attempts}"
    assert doomed.runs == attempts
    assert len(pauses) == 2 * (attempts - 1)


@pytest.mark.parametrize("error", [_refused, ZeroDivisionError])
async def test_a_command_gets_at_least_half_a_minute_before_it_is_given_up(
    gate: Gate, pauses: list[float], error: Callable[[], Exception]
) -> None:
    await Retry(gate, DEFAULT).until_done(Work([error() for _ in range(10)]), give_up)
    assert sum(pauses) >= 30 - 1e-6
    assert pauses == sorted(pauses), "each pause is longer than the one before"


@pytest.mark.parametrize(
    "policy",
    [
        pytest.param(DEFAULT, id="the default"),
        pytest.param(RetryPolicy(refused=Backoff(3, 30), bug=Backoff(3, 30)), id="equal budgets"),
    ],
)
async def test_each_cause_has_an_attempt_budget_of_its_own(
    gate: Gate, pauses: list[float], policy: RetryPolicy
) -> None:
    mixed = [error() for _ in range(policy.bug.attempts - 1) for error in (_refused, ZeroDivisionError)]
    work = Work(mixed)
    assert await Retry(gate, policy).until_done(work, give_up) == "done"
    assert work.runs == len(mixed) + 1


async def test_unavailability_costs_no_attempt_however_often_it_is_met(gate: Gate, pauses: list[float]) -> None:
    away = [DatabaseUnavailableError("gone"), PublishNotConfirmedError("unconfirmed"), OSError("reset")] * 20
    just_within = [_refused() for _ in range(DEFAULT.refused.attempts - 1)]
    errors = [error for pair in zip(away, [*just_within, *away], strict=False) for error in pair]
    work = Work(errors)
    assert await Retry(gate, DEFAULT).until_done(work, give_up) == "done"
    assert work.runs == len(errors) + 1
    assert max(pauses) <= 40, "even a long outage is asked about again soon"


async def test_what_can_not_be_given_up_is_tried_for_ever(gate: Gate, pauses: list[float]) -> None:
    work = Work([ZeroDivisionError() for _ in range(200)])
    assert await Retry(gate, DEFAULT).until_done(work) == "done"
    assert work.runs == 201
    assert max(pauses) <= 40


async def test_a_real_cancellation_ends_it_and_a_false_one_is_tried_again(gate: Gate, pauses: list[float]) -> None:
    retry = Retry(gate, DEFAULT)
    assert await retry.until_done(Work([asyncio.CancelledError()]), give_up) == "done"

    async def never() -> str:
        await asyncio.Event().wait()
        return "never"

    task = asyncio.create_task(retry.until_done(never, give_up))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_reason_of_a_given_up_command_tells_no_value(gate: Gate, pauses: list[float]) -> None:
    letters: list[Letter] = []

    async def keep(letter: Letter) -> str:
        letters.append(letter)
        return ""

    await Retry(gate, DEFAULT).until_done(Work([ValueError("the secret name") for _ in range(3)]), keep)
    assert [letter.reason for letter in letters] == [Reason.HANDLER_FAILED]
    assert "secret" not in letters[0].detail
    assert "ValueError" in letters[0].detail


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(st.integers(2, 10), st.floats(0.01, 30), st.integers(0, 2**32))
def test_jitter_only_ever_lengthens_a_pause_and_not_by_much(attempts: int, total: float, seed: int) -> None:
    backoff = Backoff(attempts, total)
    state = random.getstate()
    try:
        random.seed(seed)
        for failed in range(1, attempts):
            plain = total / (2 ** (attempts - 1) - 1) * 2 ** (failed - 1)
            assert plain <= backoff.pause_seconds(failed) <= 1.25 * plain + 1e-9
    finally:
        random.setstate(state)


@pytest.mark.parametrize("backoff", [DEFAULT.refused, DEFAULT.bug, Backoff(3, 120), Backoff(2, 60)], ids=str)
def test_the_pauses_take_at_least_the_time_that_the_backoff_promises(backoff: Backoff) -> None:
    assert sum(backoff.pause_seconds(failed) for failed in range(1, backoff.attempts)) >= backoff.total_seconds - 1e-6


async def test_a_single_attempt_needs_no_pause_and_still_repeats_what_can_not_be_given_up(
    gate: Gate, pauses: list[float]
) -> None:
    retry = Retry(gate, RetryPolicy(bug=Backoff(attempts=1, total_seconds=1)))
    assert await retry.until_done(Work([ZeroDivisionError()]), give_up) == f"{Reason.HANDLER_FAILED} after 1"
    assert await retry.until_done(Work([ZeroDivisionError()])) == "done"

"""Every file of contracts and worker keeps the rules of the house, and each rule catches a file that breaks it."""

import ast

import pytest

from tests.harness.house_plan import MIGRATIONS
from tests.harness.house_rules import (
    MOST_LINES_OF_A_FILE,
    MOST_LINES_OF_A_FUNCTION,
    MOST_LINES_OF_PROCESS,
    RULES,
    Rule,
    contracts_need_pydantic_only,
    every_exception_from_a_check_has_a_reason,
    every_module_says_what_it_is_for,
    everything_is_caught_in_one_place,
    generic_rooms_hold_no_hero,
    imports_run_downward,
    libraries_stay_behind_their_fence,
    nobody_sleeps_in_a_test,
    nothing_is_long,
)
from tests.harness.source import Source, sources


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_house_keeps_its_rule(rule: Rule) -> None:
    broken = [violation for source in sources("contracts", "worker") for violation in rule(source)]
    assert not broken, "\n".join(broken)


def test_tests_never_sleep() -> None:
    broken = [violation for source in sources("tests") for violation in nobody_sleeps_in_a_test(source)]
    assert not broken, "\n".join(broken)


def test_the_rules_see_every_room() -> None:
    """A rule that reads no files would find nothing wrong."""
    modules = {source.module for source in sources("contracts", "worker")}
    assert {"contracts.client", "worker", "worker.pipeline", "worker.messaging.intake", "worker.local.ways"} <= modules
    assert any(module.startswith(MIGRATIONS) for module in modules)


def test_the_pipeline_has_the_function_that_its_length_is_checked_of() -> None:
    (pipeline,) = [source for source in sources("worker") if source.module == "worker.pipeline"]
    assert "process" in {node.name for node in pipeline.nodes if isinstance(node, ast.AsyncFunctionDef)}


LONG = "def long() -> None:\n" + "    pass\n" * MOST_LINES_OF_A_FUNCTION
LONG_DOOR = "async def process() -> None:\n" + "    pass\n" * MOST_LINES_OF_PROCESS
BAD: tuple[tuple[Rule, str, str], ...] = (
    (imports_run_downward, "worker.errors", "from worker.outcomes import Outcome"),
    (imports_run_downward, "worker.messaging.intake", "from worker.persistence.inbox import claim"),
    (imports_run_downward, "worker.persistence.inbox", "def f():\n    import worker.pipeline"),
    (imports_run_downward, "worker.outcomes", "if TYPE_CHECKING:\n    from worker.settings import Settings"),
    (imports_run_downward, "worker.pipeline", "from worker import sweeper"),
    (imports_run_downward, "worker.app", "from worker.local import local_services"),
    (imports_run_downward, "worker.local.ways", "from worker.errors import WorkerError"),
    (imports_run_downward, "contracts.envelope", "import worker"),
    (imports_run_downward, "worker.messaging.intake", "from . import decode"),
    (imports_run_downward, "worker.attic", "import json"),
    (libraries_stay_behind_their_fence, "worker.pipeline", "import aio_pika"),
    (libraries_stay_behind_their_fence, "worker.operations.prepare", "from aiormq.exceptions import AMQPError"),
    (libraries_stay_behind_their_fence, "worker.contractsx", "from faststream.rabbit import RabbitBroker"),
    (libraries_stay_behind_their_fence, "worker.messaging.intake", "from sqlalchemy import text"),
    (libraries_stay_behind_their_fence, "worker.app", "importlib.import_module('sqlalchemy.orm')"),
    (contracts_need_pydantic_only, "contracts.heroes", "import aio_pika"),
    (contracts_need_pydantic_only, "contracts.client", "import orjson"),
    (generic_rooms_hold_no_hero, "worker.pipeline", "hero_id = 1"),
    (generic_rooms_hold_no_hero, "worker.pipeline", "from worker.heroes import HANDLERS"),
    (generic_rooms_hold_no_hero, "worker.pipeline", "def save(*, the_hero): pass"),
    (generic_rooms_hold_no_hero, "worker.messaging.decode", "x.y(f'no {z} Hero')"),
    (generic_rooms_hold_no_hero, "worker.messaging.topology", "NAME = 'heroes.commands'"),
    (generic_rooms_hold_no_hero, "worker.persistence.schema", "HINT = 'run heroes setup for this hero'"),
    (generic_rooms_hold_no_hero, "worker.retry", "x = 1  # one hero after another"),
    (everything_is_caught_in_one_place, "worker.retry", "try:\n    f()\nexcept Exception:\n    pass"),
    (everything_is_caught_in_one_place, "worker.retry", "try:\n    f()\nexcept (OSError, BaseException):\n    pass"),
    (everything_is_caught_in_one_place, "contracts.client", "try:\n    f()\nexcept:\n    pass"),
    (everything_is_caught_in_one_place, "worker.app", "with contextlib.suppress(Exception):\n    f()"),
    (every_module_says_what_it_is_for, "worker.app", "import json"),
    (every_exception_from_a_check_has_a_reason, "worker.app", "x = 1  # noqa: S311"),
    (every_exception_from_a_check_has_a_reason, "worker.app", "x = 1  # noqa"),
    (every_exception_from_a_check_has_a_reason, "worker.app", "x = 1  # type: ignore[misc]"),
    (every_exception_from_a_check_has_a_reason, "worker.app", "x = 1  # type: ignore  # because of this"),
    (nothing_is_long, "worker.app", LONG),
    (nothing_is_long, "worker.app", "\n" * (MOST_LINES_OF_A_FILE + 1)),
    (nothing_is_long, "worker.pipeline", LONG_DOOR),
    (nobody_sleeps_in_a_test, "tests.unit.test_x", "async def f():\n    await asyncio.sleep(1)"),
    (nobody_sleeps_in_a_test, "tests.unit.test_x", "async def f():\n    await sleep(0.01)"),
)


@pytest.mark.parametrize(("rule", "module", "snippet"), BAD, ids=lambda value: getattr(value, "__name__", None))
def test_a_rule_catches_who_breaks_it(rule: Rule, module: str, snippet: str) -> None:
    """The positive control: without it a checker that finds nothing looks the same as a clean house."""
    assert list(rule(Source(module, snippet)))


GOOD: tuple[tuple[Rule, str, str], ...] = (
    (imports_run_downward, "worker.messaging.intake", "from worker.messaging.decode import Decoder"),
    (imports_run_downward, "worker.operations.prepare", "from worker.persistence import schema\nimport json"),
    (imports_run_downward, "worker.local.demo", "from contracts.client import HeroesClient"),
    (libraries_stay_behind_their_fence, "worker.messaging.channel", "import aio_pika"),
    (generic_rooms_hold_no_hero, "worker.persistence.schema", "x = 'HEROES_DATABASE_URL: run heroes setup'"),
    (everything_is_caught_in_one_place, "worker.app", "try:\n    f()\nexcept (OSError, ExceptionGroup):\n    pass"),
    (everything_is_caught_in_one_place, "worker.app", "try:\n    f()\nexcept BaseException:\n    g()\n    raise"),
    (every_exception_from_a_check_has_a_reason, "worker.app", "x = 1  # noqa: S311 - not a secret"),
    (every_exception_from_a_check_has_a_reason, "worker.app", "x = 1  # type: ignore[misc]  # pydantic's own way"),
    (nothing_is_long, "worker.app", LONG_DOOR),
)


@pytest.mark.parametrize(("rule", "module", "snippet"), GOOD, ids=lambda value: getattr(value, "__name__", None))
def test_a_rule_leaves_alone_who_keeps_it(rule: Rule, module: str, snippet: str) -> None:
    assert not list(rule(Source(module, snippet)))

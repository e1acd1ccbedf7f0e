"""Every file of contracts and worker keeps the rules of the house, and each rule catches a file that breaks it."""

import ast
import io
import re
import sys
import tokenize
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MOST_LINES_OF_A_FUNCTION, MOST_LINES_OF_A_FILE, MOST_LINES_OF_PROCESS = 40, 200, 30

# Imports run from the later to the earlier; rooms on one line don't import each other.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("contracts",),
    ("worker.errors",),
    ("worker.documents", "worker.tls", "worker.collector"),
    ("worker.outcomes", "worker.failsafe", "worker.settings"),
    ("worker.watch",),
    ("worker.persistence", "worker.messaging", "worker.observability"),
    ("worker.heroes",),
    ("worker.batch", "worker.queries"),
    ("worker.retry",),
    ("worker.pipeline", "worker.sweeper", "worker.attendance", "worker.answering", "worker.readiness"),
    ("worker.entity",),
    ("worker.ours",),
    ("worker.assembly",),
    ("worker.ops",),
    ("worker.front",),
    ("worker.app",),
    ("worker.operations", "worker.supervisor"),
    ("worker.cli",),
    ("worker.__main__",),
)
APART = "worker.local"  # brings servers for those who have none; the worker neither uses it nor is used by it
RANKS = {room: rank for rank, rooms in enumerate(LAYERS) for room in rooms} | {APART: -1, "worker": 1}

AMQP = ("worker.messaging", "worker.assembly", "worker.app", "worker.operations.calling", "contracts.client", APART)
SQL = ("worker.persistence", "worker.heroes", "worker.batch", "worker.queries")
FENCES: dict[str, tuple[str, ...]] = {
    "faststream": ("worker.messaging", "worker.assembly"),
    "aio_pika": AMQP,
    "aiormq": AMQP,
    "pamqp": AMQP,
    "sqlalchemy": SQL,
    "alembic": SQL,
    "asyncpg": ("worker.persistence", APART),
}

ENTITY = (
    "worker.heroes",
    "worker.batch",
    "worker.queries",
    "worker.ours",
    "worker.operations.send",
    "worker.operations.send_batch",
    "worker.operations.ask",
    APART,
)
MIGRATIONS = "worker.persistence.migrations.versions"
# The product has a name, and a generic room may say it; nothing else with the word in it.
PRODUCT = re.compile(r"heroes-worker|heroes-dropped|HEROES_|heroes (setup|check|worker|send|queues|dead-letters)\b")
PROGRAM = re.compile(r"^heroes$|The `heroes` program")


@dataclass(frozen=True)
class Source:
    """One Python file, read but not imported."""

    module: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def nodes(self) -> Iterator[ast.AST]:
        return ast.walk(self.tree)

    @cached_property
    def imported(self) -> list[str]:
        """The full name of everything imported, also inside functions and for the type checker only."""
        found = []
        for node in self.nodes:
            if isinstance(node, ast.Import):
                found += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                found += [f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
                found += [
                    one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)
                ]
        return found

    @property
    def comments(self) -> Iterator[tuple[int, str]]:
        for token in tokenize.generate_tokens(io.StringIO(self.text).readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string


Rule = Callable[[Source], Iterator[str]]


def sources(*folders: str) -> Iterator[Source]:
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            yield Source(name, path.read_text())


def inside(module: str, rooms: tuple[str, ...]) -> bool:
    return any(module == room or module.startswith(f"{room}.") for room in rooms)


def room_of(module: str) -> str:
    """The longest room that holds the module; a module directly in `worker` is a room of its own."""
    return max((room for room in RANKS if inside(module, (room,))), key=len, default="")


def imports_run_downward(source: Source) -> Iterator[str]:
    room = room_of(source.module)
    if room == "" or (room == "worker" and source.module != "worker"):
        yield f"{source.module} stands in no room: give it a place in LAYERS"
        return
    for name in source.imported:
        other = room_of(name)
        if name.startswith("."):
            yield f"imports {name}: write the whole name"
        elif other in {"", room} or (room == APART and other == "contracts"):
            continue  # the demonstration is a publisher like any other
        elif APART in {room, other}:
            yield f"{source.module} imports {name}, but {APART} stands apart"
        elif RANKS[other] >= RANKS[room]:
            yield f"{source.module} imports {name}, which does not stand below it"


def libraries_stay_behind_their_fence(source: Source) -> Iterator[str]:
    for name in source.imported:
        rooms = FENCES.get(name.split(".")[0])
        if rooms is not None and not inside(source.module, rooms):
            yield f"{source.module} imports {name}"


def contracts_need_pydantic_only(source: Source) -> Iterator[str]:
    if not inside(source.module, ("contracts",)):
        return
    allowed = {"contracts", "pydantic", "typing_extensions", *sys.stdlib_module_names}
    if inside(source.module, ("contracts.client",)):
        allowed |= {"aio_pika", "aiormq"}
    for name in source.imported:
        if name.split(".")[0] not in allowed:
            yield f"{source.module} imports {name}"


def generic_rooms_hold_no_hero(source: Source) -> Iterator[str]:
    """Another entity takes the place of heroes without a change here."""
    if inside(source.module, ("contracts", *ENTITY, MIGRATIONS)):
        return
    for line, text in [*_words(source), *source.comments]:
        rest = PRODUCT.sub("", text)
        if source.module in {"worker.cli", "worker.__main__"}:
            rest = PROGRAM.sub("", rest)
        if "hero" in rest.lower():
            yield f"{source.module}:{line} says {text.strip()[:100]!r}"


def _words(source: Source) -> Iterator[tuple[int, str]]:
    """Every identifier and every string, docstrings and parts of f-strings included."""
    for node in source.nodes:
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Constant):
            if isinstance(node.value, str | bytes):
                yield line, str(node.value)
            continue
        for field, value in ast.iter_fields(node):
            if field in {"name", "id", "attr", "arg", "module", "asname"} and isinstance(value, str):
                yield line, value


def everything_is_caught_in_one_place(source: Source) -> Iterator[str]:
    if source.module == "worker.failsafe":
        return
    for node in source.nodes:
        if isinstance(node, ast.ExceptHandler):
            if ast.unparse(node.body[-1]) == "raise":  # tidies up and lets it pass
                continue
            caught = ast.unparse(node.type) if node.type else "Exception"
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress"):
            caught = " ".join(map(ast.unparse, node.args))
        else:
            continue
        if re.search(r"\b(Base)?Exception\b", caught):
            yield f"{source.module}:{node.lineno} catches everything"


def every_module_says_what_it_is_for(source: Source) -> Iterator[str]:
    if not ast.get_docstring(source.tree):
        yield f"{source.module} has no docstring"


def every_exception_from_a_check_has_a_reason(source: Source) -> Iterator[str]:
    for line, comment in source.comments:
        marked = re.search(r"noqa|type:\s*ignore", comment)
        if marked and not re.search(r"(noqa: [A-Z0-9, ]+ - |type: ignore\[[a-z0-9, -]+\]  ?# )\S+ \S+", comment):
            yield f"{source.module}:{line} gives no reason: {comment}"


def nothing_is_long(source: Source) -> Iterator[str]:
    lines = source.text.count("\n")
    if lines > MOST_LINES_OF_A_FILE:
        yield f"{source.module} has {lines} lines"
    for node in source.nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            is_the_door = source.module == "worker.pipeline" and node.name == "process"
            if length > (MOST_LINES_OF_PROCESS if is_the_door else MOST_LINES_OF_A_FUNCTION):
                yield f"{source.module}.{node.name} has {length} lines"


def nobody_sleeps_in_a_test(source: Source) -> Iterator[str]:
    if inside(source.module, ("tests.harness",)):
        return
    looking_again = {id(inner) for node in source.nodes if isinstance(node, ast.While) for inner in ast.walk(node)}
    for node in source.nodes:
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"asyncio.sleep", "sleep", "time.sleep"}:
            if ast.unparse(node.args[0]) == "0" or id(node) in looking_again:
                continue  # only makes way for the other tasks, or waits for a condition
            yield f"{source.module}:{node.lineno} sleeps: wait for a condition with a deadline"


RULES: tuple[Rule, ...] = (
    imports_run_downward,
    libraries_stay_behind_their_fence,
    contracts_need_pydantic_only,
    generic_rooms_hold_no_hero,
    everything_is_caught_in_one_place,
    every_module_says_what_it_is_for,
    every_exception_from_a_check_has_a_reason,
    nothing_is_long,
)


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

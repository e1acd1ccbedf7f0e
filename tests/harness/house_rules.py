"""The rules of the house, each a function that tells how a file breaks it."""

import ast
import re
import sys
from collections.abc import Callable, Iterator

from tests.harness.house_plan import APART, ENTITY, FENCES, MIGRATIONS, PRODUCT, PROGRAM, RANKS
from tests.harness.source import Source, inside

MOST_LINES_OF_A_FUNCTION, MOST_LINES_OF_A_FILE, MOST_LINES_OF_PROCESS = 40, 200, 30

Rule = Callable[[Source], Iterator[str]]


def room_of(module: str) -> str:
    """The longest room that holds the module; a module directly in `worker` is a room of its own."""
    return max((room for room in RANKS if inside(module, (room,))), key=len, default="")


def imports_run_downward(source: Source) -> Iterator[str]:
    """A room imports only what stands below it."""
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
    """Each library is imported only in the rooms that are made for it."""
    for name in source.imported:
        rooms = FENCES.get(name.split(".")[0])
        if rooms is not None and not inside(source.module, rooms):
            yield f"{source.module} imports {name}"


def contracts_need_pydantic_only(source: Source) -> Iterator[str]:
    """A publisher installs no more for the contract; its client takes aio-pika as well."""
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
    """Who catches whatever comes does it through `worker.failsafe`."""
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
    """In its docstring."""
    if not ast.get_docstring(source.tree):
        yield f"{source.module} has no docstring"


def every_exception_from_a_check_has_a_reason(source: Source) -> Iterator[str]:
    """Behind each `noqa` and each `type: ignore`."""
    for line, comment in source.comments:
        marked = re.search(r"noqa|type:\s*ignore", comment)
        if marked and not re.search(r"(noqa: [A-Z0-9, ]+ - |type: ignore\[[a-z0-9, -]+\]  ?# )\S+ \S+", comment):
            yield f"{source.module}:{line} gives no reason: {comment}"


def nothing_is_long(source: Source) -> Iterator[str]:
    """Neither a file nor a function."""
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
    """A test waits for a condition; the harness, which knows how, may sleep."""
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

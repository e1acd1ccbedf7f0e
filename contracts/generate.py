"""Writes the contract as files, for tools and people outside Python: `python -m contracts.generate`.

The same models give the same bytes, always: a test compares, so nobody can change the contract without showing it.
"""

import json
from pathlib import Path
from typing import Any

from contracts import asyncapi
from contracts.catalogue import TYPES
from contracts.shapes import DIALECT, schema_of

HERE = Path(__file__).parent
SCHEMAS = HERE / "schemas"
COMMAND = "python -m contracts.generate"


def files() -> dict[Path, str]:
    """What should stand in each generated file."""
    head = {"$schema": DIALECT, "$comment": f"Written by `{COMMAND}`; change the models instead."}
    written = {SCHEMAS / f"{one.name}.json": _text({**head, **schema_of(one.model)}) for one in TYPES}
    return {**written, HERE / "asyncapi.json": _text(asyncapi.document())}


def present() -> set[Path]:
    """The generated files that stand there, those of types that are gone included."""
    return {*SCHEMAS.glob("*.json"), *HERE.glob("asyncapi.json")}


def write() -> list[Path]:
    """Every generated file is as it should be, and none is left over; tells which had to change."""
    wanted = files()
    changed = [path for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    SCHEMAS.mkdir(exist_ok=True)
    for path in changed:
        path.write_text(wanted[path], encoding="utf-8", newline="\n")
    leftover = sorted(present() - wanted.keys())
    for path in leftover:
        path.unlink()
    return changed + leftover


def _text(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    names = [str(path.relative_to(HERE.parent)) for path in write()]
    print("\n".join(names) if names else "the contract files are as they should be")

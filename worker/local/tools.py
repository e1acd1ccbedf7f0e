"""Finds the broker's command-line tools on this machine, or installs them.

Invariant: an installation starts no service and leaves a service alone that already ran.
"""

import fcntl
import os
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from worker.local.errors import LocalServicesError

COMMAND_VARIABLE = "HEROES_LOCAL_RABBITMQ_COMMAND"
# Where packages keep the tools themselves; the wrappers in /usr/sbin switch the user and drop the environment.
PACKAGE_BIN = Path("/usr/lib/rabbitmq/bin")
POLICY = Path("/usr/sbin/policy-rc.d")
APT_STATE = Path("/var/lib/apt")


@dataclass(frozen=True, slots=True)
class BrokerTools:
    """How to call rabbitmq-server and rabbitmqctl: a prefix that takes a tool's name, or their folder."""

    prefix: Sequence[str] = ()
    folder: Path | None = None

    def command(self, tool: str) -> list[str]:
        """The command line that runs the tool; arguments follow."""
        return [str(self.folder / tool)] if self.folder else [*self.prefix, tool]


def broker_tools(environ: Mapping[str, str], say: Callable[[str], None]) -> BrokerTools:
    """Tools that exist, from the setting, from the system, or freshly installed, in this order."""
    if prefix := shlex.split(environ.get(COMMAND_VARIABLE, "")):
        if not shutil.which(prefix[0]):
            raise LocalServicesError(
                f"{COMMAND_VARIABLE} starts with {prefix[0]!r}, which is no command here: correct it."
            )
        return BrokerTools(prefix=prefix)
    found = _installed()
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        with _one_at_a_time():
            if _installed() is None:
                _install(say)
        found = _installed()
    if found is None:
        raise LocalServicesError(
            "RabbitMQ is not installed: install it (Debian, Ubuntu: apt-get install rabbitmq-server), start Docker, "
            "or name a running broker with HEROES_RABBITMQ_URL."
        )
    return found


def _installed() -> BrokerTools | None:
    if (PACKAGE_BIN / "rabbitmq-server").exists():
        return BrokerTools(folder=PACKAGE_BIN)
    on_path = shutil.which("rabbitmq-server")
    return BrokerTools(folder=Path(on_path).parent) if on_path else None


def _install(say: Callable[[str], None]) -> None:
    say("Installing rabbitmq-server by apt-get")
    with _services_stay_down():
        _apt_get("update")  # failing is no end yet: the index may be recent enough
        done = _apt_get("install", "-y", "--no-install-recommends", "rabbitmq-server")
    if done.returncode:
        end = "\n".join(done.stdout.splitlines()[-5:])
        raise LocalServicesError(f"apt-get could not install rabbitmq-server; install it by hand. It said:\n{end}")


def _apt_get(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own command line, no shell
        ["/usr/bin/apt-get", "-q", "-o", "DPkg::Lock::Timeout=300", *arguments],
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


@contextmanager
def _services_stay_down() -> Iterator[None]:
    """Debian's packages start what they install, unless this policy says no. One that is there already stays."""
    try:
        with POLICY.open("x") as policy:
            policy.write("#!/bin/sh\nexit 101\n")
    except FileExistsError:
        yield
        return
    try:
        POLICY.chmod(0o755)
        yield
    finally:
        POLICY.unlink(missing_ok=True)


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Two that start at once must not install twice, nor take each other's policy away."""
    folder = os.open(APT_STATE, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)

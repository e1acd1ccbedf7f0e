"""What is asked of a way to bring services, and what it answers.

Invariant: data alone; the ways and their choice know each other through this file only.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, repr=False)
class Found:
    """URLs that are known so far; an empty one is still to be brought."""

    rabbitmq_url: str = ""
    database_url: str = ""
    management_url: str = ""


@dataclass(frozen=True, slots=True)
class Order:
    """What a way is asked to bring, and how it tells what it does."""

    rabbitmq: bool
    postgres: bool
    environ: Mapping[str, str]
    say: Callable[[str], None]


# A way raises LocalServicesError on entering if it can't work here.
Way = Callable[[Order], AbstractContextManager[Found]]

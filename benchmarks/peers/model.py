"""The hero as an ORM class, on the table that the worker's migrations made; shared by every peer of SQLAlchemy's ORM.

Invariant: only the fields that a textbook model has; version and times are the database's own defaults.
"""

import os
from typing import Any

from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """What declarative models derive from."""


class Hero(Base):
    """One row of `hero`."""

    __tablename__ = "hero"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    secret_name: Mapped[str]
    age: Mapped[int | None]


def rabbitmq_url() -> str:
    """The broker of this run."""
    return os.environ["HEROES_RABBITMQ_URL"]


def database_url(driver: str) -> str:
    """The database of this run, for SQLAlchemy with this driver."""
    return os.environ["HEROES_DATABASE_URL"].replace("+asyncpg", f"+{driver}", 1)


def hero_data(number: int) -> dict[str, Any]:
    """What one command asks for."""
    return {"name": f"Hero {number}", "secret_name": f"Secret {number}", "age": number % 100}

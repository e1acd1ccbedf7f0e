"""The hero and the inbox as ORM classes, on the tables that the worker's migrations made; shared by every peer.

Invariant: only the fields that a textbook model has; version and times are the database's own defaults.
"""

import os
from typing import Any
from uuid import UUID, uuid4

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


class Handled(Base):
    """One row of `inbox`: in the same transaction as its effect, it lets nothing take effect twice."""

    __tablename__ = "inbox"

    command_id: Mapped[UUID] = mapped_column(primary_key=True)
    command_type: Mapped[str] = mapped_column(default="hero.create")
    fingerprint: Mapped[bytes] = mapped_column(default=b"")


def rabbitmq_url() -> str:
    """The broker of this run."""
    return os.environ["HEROES_RABBITMQ_URL"]


def database_url(driver: str) -> str:
    """The database of this run, for SQLAlchemy with this driver."""
    return os.environ["HEROES_DATABASE_URL"].replace("+asyncpg", f"+{driver}", 1)


def hero_data(number: int) -> dict[str, Any]:
    """What one command asks for."""
    return {"name": f"Hero {number}", "secret_name": f"Secret {number}", "age": number % 100}


def command(number: int) -> dict[str, Any]:
    """The same with an id, to tell a repeat by."""
    return {"command_id": str(uuid4()), **hero_data(number)}

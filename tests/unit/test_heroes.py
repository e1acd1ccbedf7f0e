"""What a publisher may ask of a hero and what the table can hold."""

from typing import get_type_hints

from contracts.heroes import HeroChanges
from worker.heroes import HERO


def test_every_change_that_may_be_asked_is_a_column_that_an_update_sets() -> None:
    """SQLAlchemy passes over a parameter that is no column: the change would be announced and not made."""
    made_by_us = {"id", "version", "created_at", "updated_at"}
    assert get_type_hints(HeroChanges).keys() <= set(HERO.c.keys()) - made_by_us

"""Whatever stands in a message's properties, its letter fits a frame and can be written."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.harness.arrived import arrived, letter_for, on_the_wire

FIELDS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=40)
    | st.binary(max_size=40)
    | st.datetimes(timezones=st.just(UTC))
    | st.decimals(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=300), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.text(max_size=300), FIELDS, max_size=6))
def test_a_message_with_any_headers_has_a_letter_that_fits_a_frame(headers: dict[str, Any]) -> None:
    on_the_wire(asyncio.run(letter_for(arrived(headers=headers))))


@pytest.mark.parametrize("moment", [datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)])
async def test_any_timestamp_that_can_be_read_can_be_written_again(moment: datetime) -> None:
    on_the_wire(await letter_for(arrived(timestamp=moment)))


@pytest.mark.parametrize("expiration", [None, 0.001, 86_400.0, 4_294_967.295])
async def test_any_expiration_can_be_told(expiration: float | None) -> None:
    on_the_wire(await letter_for(arrived(expiration=expiration)))


@pytest.mark.parametrize("routing_key", ["", "07", "ü" * 127])
async def test_any_routing_key_can_be_told(routing_key: str) -> None:
    letter = await letter_for(arrived(routing_key=routing_key))
    assert letter.headers["x-original-routing-key"] == routing_key
    on_the_wire(letter)

"""What is said where a certificate is refused, without a password."""

from urllib.parse import urlsplit

import pytest

from worker.errors import RefuseToStartError
from worker.messaging.connection import connected, without_password
from worker.persistence import schema

AUTHORITY = "signed by nobody who is trusted here"
OTHER_HOST = "is for another host: name the host as the certificate does"
OTHER_TIME = "has expired or is not valid yet: renew it there"


async def refused_by_the_broker(url: str) -> RefuseToStartError:
    """Why nobody connects to it."""
    with pytest.raises(RefuseToStartError) as refused:
        async with connected(url, within_seconds=0):
            pass
    assert (urlsplit(url).password or "-") not in str(refused.value)
    return refused.value


async def refused_by_the_database(url: str) -> RefuseToStartError:
    """Why nobody connects to it."""
    with pytest.raises(RefuseToStartError) as refused:
        async with schema.reached(url, without_password(url), 0.1):
            pass
    assert (urlsplit(url).password or "-") not in str(refused.value)
    return refused.value

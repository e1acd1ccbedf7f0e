"""Where PostgreSQL is and how the way there is secured: what the URL says, as the driver takes it.

Left to itself the driver checks no certificate, except where the environment or a file in the home folder makes it.
"""

from typing import Any

from sqlalchemy import URL, make_url

from worker.tls import POSTGRESQL, context


def address(url: str) -> tuple[URL, dict[str, Any]]:
    """The URL without what it says about TLS, and the driver's arguments that say it."""
    parsed = make_url(url)
    if parsed.query.get("ssl") != "verify-full":
        return parsed, {}
    query = {name: str(parsed.query[name]) for name in POSTGRESQL if name in parsed.query}
    return parsed.difference_update_query(["ssl", *POSTGRESQL]), {"ssl": context(query, POSTGRESQL)}

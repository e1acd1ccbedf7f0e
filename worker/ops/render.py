"""Writes the page: one HTML file without scripts, under a policy that lets nothing in but its own style.

Every value is escaped, cut and freed of what can't be seen, whatever the template does: messages are written by others.
"""

from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from importlib.resources import files

from jinja2 import Environment, StrictUndefined

from worker.observability.http import Page
from worker.ops.facts import Facts
from worker.ops.verdict import Verdict

REFRESH_SECONDS = 5
_CHARACTERS = 500  # of one value
_MINUTE_SECONDS, _HOUR_SECONDS, _DAY_SECONDS = 60, 3600, 86_400
_LEAST_SECONDS = 0.001
_EVEN_PER_SECOND = 100  # from here on, fractions tell nothing
_TWICE = 2  # below two minutes, seconds tell more


class Renderer:
    """Holds the compiled template and the headers that go with it."""

    def __init__(self, worker_id: str, version: str) -> None:
        source = (files("worker.ops") / "page.html").read_text(encoding="utf-8")
        made = Environment(
            autoescape=True, undefined=StrictUndefined, finalize=shown, trim_blocks=True, lstrip_blocks=True
        )
        made.filters |= {"age": age, "number": number, "rate": rate, "clock": clock, "moment": moment}
        self._template = made.from_string(source)
        self._about = {"worker_id": worker_id, "version": version, "refresh_seconds": REFRESH_SECONDS}
        self._headers = _headers(source)

    def page(self, verdict: Verdict, facts: Facts | None, *, refresh: bool) -> Page:
        """The page; without facts only the verdict stands on it."""
        html = self._template.render(verdict=verdict, facts=facts, refresh=refresh, **self._about)
        return Page(html.encode(), content_type="text/html; charset=utf-8", headers=self._headers)


def _headers(source: str) -> Mapping[str, str]:
    style = source.partition("<style>")[2].partition("</style>")[0]
    digest = b64encode(sha256(style.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return {"content-security-policy": policy, "referrer-policy": "no-referrer"}


def shown(value: object) -> object:
    """As it may stand on the page: what can't be seen, or turns the direction of writing, is told by its number."""
    if not isinstance(value, str):
        return value
    cut = value if len(value) <= _CHARACTERS else f"{value[:_CHARACTERS]}…"
    return cut if cut.isprintable() else "".join(one if one.isprintable() else repr(one)[1:-1] for one in cut)


def age(seconds: float) -> str:
    """In the unit that says it best."""
    for unit, length in (("d", _DAY_SECONDS), ("h", _HOUR_SECONDS), ("min", _MINUTE_SECONDS)):
        if seconds >= _TWICE * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.2g} s" if _LEAST_SECONDS <= seconds < 1 else f"{seconds:.0f} s"


def number(value: int | None) -> str:
    """With room between the thousands; a dash where nobody knows."""
    return "-" if value is None else f"{value:,}".replace(",", " ")


def rate(per_second: float | None) -> str:
    """How many in a second."""
    if per_second is None:
        return "-"
    return f"{per_second:.0f}" if per_second >= _EVEN_PER_SECOND or not per_second else f"{per_second:.2g}"


def clock(at: float) -> str:
    """The time of day, in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S")


def moment(at: float) -> str:
    """For machines: RFC 3339."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

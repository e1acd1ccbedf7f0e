"""Whether every value of one JSON Schema fits into another, and where not.

Too strict is allowed, too lenient is not: a keyword that this module does not know is an error, never passed over. The
schemas may not refer to themselves.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Schema = Mapping[str, Any]

_NOTES = {"title", "description", "default", "examples", "deprecated", "x-amqp-property"}
_AT_LEAST = {"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"}
_AT_MOST = {"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"}
_EQUAL = {"pattern", "format", "multipleOf", "uniqueItems"}
_SHAPE = {"type", "const", "enum", "properties", "required", "additionalProperties", "items"}
_KNOWN = _NOTES | _AT_LEAST | _AT_MOST | _EQUAL | _SHAPE


@dataclass(frozen=True, slots=True)
class Misfit:
    """What keeps a value from fitting, and in which field."""

    field: str
    problem: str


@dataclass(frozen=True, slots=True)
class Fitting:
    """Values that were sent under the released schema must fit into the present one (`sent`); values that are written
    under the present one must fit into the released one (received). `inner` is where the values come from.
    """

    sent: bool
    inner_schemas: Schema
    outer_schemas: Schema

    def misfits(self, inner: Schema, outer: Schema, field: str = "") -> Iterator[Misfit]:
        """Every reason why a value of `inner` may not fit into `outer`."""
        outers = list(_alternatives(outer, self.outer_schemas))
        inners = list(_alternatives(inner, self.inner_schemas))
        for one in inners:
            kin = [other for other in outers if _kin(one, other, tagged=max(len(inners), len(outers)) > 1)]
            if kin:
                yield from min((list(self._single(one, other, field)) for other in kin), key=len)
            else:
                yield Misfit(field, f"{self._taken} {_name(one)}")

    @property
    def _taken(self) -> str:
        return "no longer takes" if self.sent else "may now be"

    def _single(self, inner: Schema, outer: Schema, field: str) -> Iterator[Misfit]:
        if "enum" in outer:
            strange = [one for one in inner.get("enum", ["any value"]) if one not in outer["enum"]]
            yield from (Misfit(field, f"{self._taken} {one!r}") for one in strange)
        for keyword in sorted((_AT_LEAST | _AT_MOST | _EQUAL) & outer.keys()):
            if keyword not in inner or not _within(keyword, inner[keyword], outer[keyword]):
                yield Misfit(field, self._changed(keyword, inner.get(keyword), outer[keyword]))
        yield from self._object(inner, outer, field)
        if "items" in outer:
            yield from self.misfits(inner.get("items", {}), outer["items"], f"{field}[]")

    def _object(self, inner: Schema, outer: Schema, field: str) -> Iterator[Misfit]:
        released, present = (inner, outer) if self.sent else (outer, inner)
        before, now = released.get("properties", {}), present.get("properties", {})
        yield from (Misfit(_path(field, name), "is gone") for name in before if name not in now)
        needed = "is required now" if self.sent else "is no longer always there"
        for name in outer.get("required", []):
            if name in now and name not in inner.get("required", []):
                yield Misfit(_path(field, name), needed)
        for name in (name for name in before if name in now):
            yield from self.misfits(inner["properties"][name], outer["properties"][name], _path(field, name))
            if self.sent and "default" in before[name] and before[name]["default"] != now[name].get("default"):
                problem = self._changed("default", before[name]["default"], now[name].get("default"))
                yield Misfit(_path(field, name), problem)
        yield from self._more(inner, outer, field)

    def _more(self, inner: Schema, outer: Schema, field: str) -> Iterator[Misfit]:
        """Fields beside those that have a name."""
        mine, other = inner.get("additionalProperties", True), outer.get("additionalProperties", True)
        if other is False:
            known = outer.get("properties", {})
            new = [] if self.sent else [name for name in inner.get("properties", {}) if name not in known]
            yield from (Misfit(_path(field, name), "is new, where readers refuse what they don't know") for name in new)
            if mine is not False:
                yield Misfit(field, f"{self._taken} an object with unknown fields")
        elif isinstance(other, Mapping) and mine is not False:
            yield from self.misfits({} if mine is True else mine, other, _path(field, "*"))

    def _changed(self, keyword: str, inner: Any, outer: Any) -> str:
        released, present = (inner, outer) if self.sent else (outer, inner)
        return f"{keyword} was {released!r}, is {present!r}"


def _alternatives(schema: Schema, schemas: Schema) -> Iterator[dict[str, Any]]:
    """The plain schemas of which a value fits at least one; every reference followed, `const` written as `enum`."""
    rest = dict(schema)
    if "$ref" in rest:
        rest["allOf"] = [schemas[str(rest.pop("$ref")).rpartition("/")[2]], *rest.get("allOf", [])]
    for keyword in ("anyOf", "oneOf", "allOf"):
        if keyword in rest:
            parts = rest.pop(keyword)
            if keyword == "allOf" and len(parts) > 1:
                raise ValueError("contracts.fitting can't compare an allOf of several schemas: teach it to")
            for part in parts:
                for one in _alternatives(part, schemas):
                    yield from _alternatives(_both(one, rest), schemas)
            return
    if isinstance(rest.get("type"), list):
        yield from ({**rest, "type": one} for one in rest["type"])
        return
    if unknown := rest.keys() - _KNOWN:
        raise ValueError(f"contracts.fitting can't compare {', '.join(sorted(unknown))}: teach it to")
    if "const" in rest:
        rest["enum"] = [rest.pop("const")]
    yield rest


def _both(one: Schema, other: Schema) -> Schema:
    if twice := (one.keys() & other.keys()) - _NOTES:
        raise ValueError(f"contracts.fitting can't compare {', '.join(sorted(twice))} said twice: teach it to")
    return {**one, **other}


def _kin(inner: Schema, outer: Schema, *, tagged: bool) -> bool:
    """Alike enough to be compared: of one type and, among several, with the same fixed fields (like `op`)."""
    if "type" in outer and inner.get("type") not in (
        {"integer", "number"} if outer["type"] == "number" else {outer["type"]}
    ):
        return False
    mine, others = inner.get("properties", {}), outer.get("properties", {})
    fixed = [name for name in mine.keys() & others.keys() if "const" in mine[name] and "const" in others[name]]
    return not tagged or all(mine[name]["const"] == others[name]["const"] for name in fixed)


def _name(schema: Schema) -> str:
    tags = [f"{key} {value['const']!r}" for key, value in schema.get("properties", {}).items() if "const" in value]
    return " ".join([str(schema.get("type", "anything")), *(["with"] if tags else []), " and ".join(tags)]).strip()


def _within(keyword: str, inner: Any, outer: Any) -> bool:
    if keyword in _AT_LEAST:
        return bool(inner >= outer)
    return bool(inner <= outer) if keyword in _AT_MOST else bool(inner == outer)


def _path(field: str, name: str) -> str:
    return f"{field}.{name}" if field else name

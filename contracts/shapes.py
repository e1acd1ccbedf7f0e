"""JSON Schemas of the messages, as tools outside Python read them.

They say what JSON Schema can say: the worker also refuses `3.0` for an integer, and counts `correlationid` in bytes.
"""

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from typing_extensions import override

from contracts.catalogue import TYPES
from contracts.envelope import Envelope

DIALECT = "https://json-schema.org/draft/2020-12/schema"


class _Plain(GenerateJsonSchema):
    """Without what only OpenAPI knows, and without titles that repeat the name."""

    @override
    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    @override
    def tagged_union_schema(self, schema: Any) -> JsonSchemaValue:
        union = super().tagged_union_schema(schema)
        union.pop("discriminator", None)
        return union


def schema_of(model: type[Envelope]) -> dict[str, Any]:
    """The schema of one type, complete in itself."""
    return model.model_json_schema(schema_generator=_Plain)


def shared_schemas(reference: str) -> dict[str, Any]:
    """The schemas of all types and of all that they are made of, by class name; `reference` says how they are found."""
    models = [(one.model, "validation") for one in TYPES]
    _, found = models_json_schema(models, ref_template=reference, schema_generator=_Plain)  # type: ignore[arg-type]  # a literal in a list of tuples widens to str
    schemas: dict[str, Any] = _lone_references(found["$defs"])
    return schemas


def _lone_references(schema: Any) -> Any:
    """The same, with nothing beside a `$ref`: where AsyncAPI's dialect rules, what stands there is ignored."""
    if isinstance(schema, list):
        return [_lone_references(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    opened = {key: _lone_references(value) for key, value in schema.items()}
    if "$ref" in opened and len(opened) > 1:
        return {"allOf": [{"$ref": opened.pop("$ref")}], **opened}
    return opened

"""The description once more, in the part of OpenAPI that generators of clients get right.

It is OpenAPI 3.0, and in place of what generators stumble over: one form of a request, JSON, whose
parameters stand nowhere else; of a union of objects, one with the fields of all, required where it
is in each; and no limits to what replies may bring, as later versions add to them. The service
answers both alike.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from service.http.openapi.json_schemas import NULL, REFERENCES, reference

Description = dict[str, Any]
Schema = dict[str, Any]

JSON = "application/json"
# What a union of these schemas is called.
UNIONS = {
    frozenset({"InlineImage", "ImageUrl"}): "Image",
    frozenset({"DetectedImage", "FailedImage"}): "DetectResult",
    frozenset({"ClassifiedImage", "ClassifiedRegions", "FailedImage"}): "ClassifyResult",
    frozenset({"ModelDescription", "UnreadableModel"}): "Model",
    frozenset({"DetectionDefaults", "ClassificationDefaults"}): "Defaults",
}
# Generators call the parameters of the operation detect DetectRequest themselves.
RENAMED = {"DetectRequest": "DetectBody", "ClassifyRequest": "ClassifyBody"}
OPEN = {"ErrorCode", "ModelState"}  # enumerations that later versions may add to
ABOUT_REQUESTS = """\
One form of a request, JSON, for generated clients: images are base64 text, or URLs where the
operator allows their hosts. The service takes forms and raw images too; see `/docs`."""


def for_generators(api: Description) -> Description:
    """``api``, a whole description, made simple."""
    schemas = _Simplifier(api["components"]["schemas"])
    paths = {
        path: {method: _operation(one, schemas) for method, one in operations.items()}
        for path, operations in api["paths"].items()
    }
    return {
        **api,
        "openapi": "3.0.3",
        "info": {**api["info"], "license": {"name": api["info"]["license"]["name"]}},
        "paths": paths,
        "components": {**api["components"], "schemas": dict(sorted(schemas.made.items()))},
    }


def _operation(operation: Description, schemas: "_Simplifier") -> Description:
    simple = {
        **operation,
        "responses": {
            status: {**reply, "content": _contents(reply["content"], schemas)}
            for status, reply in operation["responses"].items()
        },
    }
    if body := operation.get("requestBody"):
        form = {JSON: body["content"][JSON]}
        simple["requestBody"] = {**body, "content": _contents(form, schemas)}
        if len(body["content"]) > 1:
            simple["description"] = ABOUT_REQUESTS
        simple["parameters"] = [row for row in operation["parameters"] if row["in"] != "query"]
    return simple


def _contents(contents: Description, schemas: "_Simplifier") -> Description:
    return {
        media_type: {**form, "schema": schemas.simplify(form["schema"])}
        for media_type, form in contents.items()
    }


class _Simplifier:
    """Makes schemas simple, and those that they name, which are then in ``made``."""

    def __init__(self, whole: dict[str, Schema]) -> None:
        self._whole = whole
        self.made: dict[str, Schema] = {}

    def simplify(self, schema: Schema) -> Schema:
        kinds = [one for one in schema.get("anyOf") or schema.get("oneOf") or [] if one != NULL]
        about = {key: schema[key] for key in ("description",) if key in schema}
        if len(kinds) == 1:
            return {**self.simplify(kinds[0]), **about}
        if kinds:
            named = {_name(one) for one in kinds if "$ref" in one}
            return self._union(frozenset(named)) if len(named) == len(kinds) else about
        if "$ref" in schema:
            return self._named(_name(schema))
        return dict(self._keywords(schema))

    def _keywords(self, schema: Schema) -> Iterator[tuple[str, Any]]:
        for key, value in schema.items():
            match key:
                case "const":
                    yield "enum", [value]
                case "prefixItems":
                    yield "items", self.simplify(value[0])
                case "exclusiveMinimum":
                    yield from (("minimum", value), (key, True))
                case "properties":
                    yield key, {name: self.simplify(field) for name, field in value.items()}
                case "items":
                    yield key, self.simplify(value)
                case "additionalProperties":
                    if value is not False:
                        yield key, self.simplify(value)
                case _:
                    yield key, value

    def _named(self, name: str) -> Schema:
        """A reference to the simple schema of the one that is called ``name``."""
        own = RENAMED.get(name, name)
        if own not in self.made:
            schema = self._whole[name]
            self.made[own] = {}  # a schema may be within itself
            if "oneOf" in schema:
                made = self._merge(name, list(self._members([name])))
            else:
                closed = "enum" if name in OPEN else None
                made = self.simplify({k: v for k, v in schema.items() if k != closed})
            self.made[own] = made
        return reference(own)

    def _union(self, names: frozenset[str]) -> Schema:
        """A reference to one object with the fields of all that are called ``names``."""
        union = UNIONS[names]
        if union not in self.made:
            self.made[union] = {}
            self.made[union] = self._merge(union, list(self._members(sorted(names))))
        return reference(union)

    def _members(self, names: Iterable[str]) -> Iterator[Schema]:
        """The objects of a union, and of the unions in it."""
        for name in names:
            schema = self._whole[name]
            if "oneOf" in schema:
                yield from self._members(map(_name, schema["oneOf"]))
            else:
                yield schema

    def _merge(self, name: str, members: list[Schema]) -> Schema:
        fields: dict[str, list[Schema]] = {}
        for member in members:
            for field, schema in member["properties"].items():
                fields.setdefault(field, []).append(schema)
        everywhere = set.intersection(*(set(member.get("required", ())) for member in members))
        return {
            "type": "object",
            "description": " Or: ".join(m["description"] for m in members),
            "properties": {field: self._either(kinds) for field, kinds in fields.items()},
            **({"required": [f for f in fields if f in everywhere]} if everywhere else {}),
        }

    def _either(self, kinds: list[Schema]) -> Schema:
        """A field that is one of ``kinds``."""
        if all(kind == kinds[0] for kind in kinds):
            return self.simplify(kinds[0])
        if all("const" in kind for kind in kinds):
            return {"type": "string", "enum": [kind["const"] for kind in kinds]}
        if all("$ref" in kind for kind in kinds):
            return self._union(frozenset(map(_name, kinds)))
        simple = self.simplify(kinds[0])  # they differ in words alone
        return {key: value for key, value in simple.items() if key != "description"}


def _name(schema: Schema) -> str:
    return str(schema["$ref"]).removeprefix(REFERENCES)

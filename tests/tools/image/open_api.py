"""The configuration's schema as consoles read it: OpenAPI, which has no references and no conditions.

It is made of envoy/schema/plugin.json and never stricter: what belongs together is left to the module, and to `check`.
"""

import json
from pathlib import Path

SCHEMA = Path(__file__).resolve().parents[3] / "envoy/schema/plugin.json"
SAME = (
    "description", "type", "enum", "default", "minimum", "maximum", "pattern", "format", "minItems", "maxItems", "uniqueItems",
    "minLength", "maxLength", "maxProperties", "additionalProperties",
)  # fmt: skip


def open_api() -> dict:
    """The schema."""
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    definitions = schema["definitions"]
    # By mode the conditions at the end say what these are. The sections of mode `sign` have fewer keys.
    named = {key: {"$ref": f"#/definitions/{key}"} for key in ("sls", "limits")}
    schema["properties"] |= named
    del schema["allOf"]
    found = convert(schema, definitions)
    targets = found["properties"]["sentry"]["additionalProperties"]
    for leg in (found["properties"]["rum"], found["properties"]["sls"], targets):
        # One that is switched off may hold anything.
        del leg["additionalProperties"]
    return found


def convert(node: dict | bool, definitions: dict) -> dict:
    """A node without references and conditions."""
    if isinstance(node, bool):
        return {}
    found: dict = {}
    if "$ref" in node:
        found |= convert(definitions[node["$ref"].rsplit("/", 1)[1]], definitions)
    for branch in ("then", "else"):
        if branch in node:
            merge(found, convert(node[branch], definitions))
    for key, value in node.items():
        if key in SAME and not isinstance(value, dict):
            found[key] = value
        elif key == "patternProperties":
            # A map with names of one kind.
            (found["additionalProperties"],) = (convert(each, definitions) for each in value.values())
        elif key == "items" or (key == "additionalProperties" and "patternProperties" not in node):
            found[key] = convert(value, definitions)
        elif key == "const":
            found["enum"] = [value]
        elif key == "anyOf" and all("required" not in each for each in value):
            found[key] = [convert(each, definitions) for each in value]
        elif key == "properties":
            properties = {name: convert(each, definitions) for name, each in value.items() if each is not False}
            merge(found, {"properties": properties})
    return found


def merge(found: dict, more: dict) -> None:
    """What either branch of a condition has."""
    properties = {**more.get("properties", {}), **found.get("properties", {})}
    found |= {key: value for key, value in more.items() if key not in found}
    if properties:
        found["properties"] = properties

"""A mapping template that prints something of a schema's form: where a person begins to write one. Pure."""

from typing import Any

SAMPLES = {"string": '"foo"', "integer": "42", "number": "3.14", "boolean": "true", "null": "null"}
MAX_DEPTH = 10
HEAD = "#set($inputRoot = $input.path('$'))\n"
TODO = "##TODO: Update this foreach loop to reference array from input json\n"


def sample(schema: Any) -> str:
    return HEAD + _value(schema, 0, "  ")


def _value(schema: Any, depth: int, indent: str) -> str:
    if not isinstance(schema, dict) or depth > MAX_DEPTH:
        return "{}"
    kind = schema.get("type")
    if isinstance(schema.get("enum"), list) and schema["enum"] and isinstance(schema["enum"][0], str):
        return f'"{schema["enum"][0]}"'
    if kind == "array":
        inner = _value(schema.get("items"), depth + 1, indent + "  ")
        return f"[\n{TODO}#foreach($elem in $inputRoot)\n{indent}{inner}#if($foreach.hasNext),#end\n#end\n]"
    if isinstance(kind, str) and kind in SAMPLES:
        return SAMPLES[kind]
    properties = schema.get("properties")
    if not isinstance(properties, dict) or not properties:
        return "{ }"
    members = ",\n".join(f'{indent}"{name}" : {_value(one, depth + 1, indent + "  ")}' for name, one in properties.items())
    return "{\n" + members + "\n" + indent[:-2] + "}"

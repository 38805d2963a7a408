"""Makes what of the client follows from other files, into a folder: python3 generate.py collimator_client

`models.py` follows from the OpenAPI document, and `sync_client.py` from `async_client.py`.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent

HEAD = '''"""The bodies of the API. Made of api/openapi.json by generate.py: do not edit."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict
'''
# Parameters of a list that the client sets itself, or offers by another name.
PAGING = {"limit", "cursor", "count", "fields"}


def type_of(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[1]
    if "allOf" in schema:
        return type_of(schema["allOf"][0])
    if "enum" in schema:
        return f"Literal[{', '.join(json.dumps(word) for word in schema['enum'])}]"
    match schema.get("type"):
        case "string":
            return "str"
        case "integer":
            return "int"
        case "number":
            return "float"
        case "boolean":
            return "bool"
        case "array":
            return f"list[{type_of(schema['items'])}]"
        case "object" if "additionalProperties" in schema:
            return f"dict[str, {type_of(schema['additionalProperties'])}]"
    return "Any"


def model(name: str, schema: dict[str, Any]) -> str:
    required = schema.get("required", [])
    lines = [f"\n\nclass {name}(TypedDict):"]
    if "description" in schema:
        lines.append(f"    {json.dumps(schema['description'], ensure_ascii=False)}\n")
    for key, value in schema["properties"].items():
        word = type_of(value)
        lines.append(f"    {key}: {word if key in required else f'NotRequired[{word}]'}")
    return "\n".join(lines) + "\n"


def filters(name: str, operation: dict[str, Any]) -> str:
    lines = [f"\n\nclass {name}(TypedDict, total=False):"]
    for parameter in operation["parameters"]:
        if parameter["in"] == "query" and parameter["name"] not in PAGING:
            lines.append(f"    {parameter['name']}: {type_of(parameter['schema'])}")
    return "\n".join(lines) + "\n"


def models() -> str:
    document = json.loads((HERE / "../../api/openapi.json").read_text("utf-8"))
    text = HEAD
    for name, schema in document["components"]["schemas"].items():
        # Bodies of DICOMweb have tags for keys, which pydicom reads.
        if all(key.isidentifier() for key in schema["properties"]):
            text += model(name, schema)
    return text + filters("SeriesFilters", document["paths"]["/series"]["get"])


# What `async_client.py` has, and the synchronous client in its place.
SYNCHRONOUS = [
    (r"^.*$", '"""The client that waits. Made of async_client.py by generate.py: do not edit."""'),
    (r"\basync (def|with|for) ", r"\1 "),
    (r"\bawait ", ""),
    (r"\bAsync(Client|Iterator)\b", r"\1"),
    (r"\bimport asyncio\b", "import time"),
    (r"\basyncio\.sleep\b", "time.sleep"),
    (r"\b__a(enter|exit)__", r"__\1__"),
    (r"\ba(close|read|iter_bytes|iter_lines)\(", r"\1("),
]


def sync_client() -> str:
    text = (HERE / "collimator_client/async_client.py").read_text("utf-8")
    for index, (pattern, replacement) in enumerate(SYNCHRONOUS):
        # The first is about the first line.
        text = re.sub(pattern, replacement, text, count=int(index == 0), flags=re.MULTILINE)
    return text.replace("`async with`", "`with`")


def main() -> None:
    folder = Path(sys.argv[1])
    (folder / "models.py").write_text(models(), "utf-8")
    (folder / "sync_client.py").write_text(sync_client(), "utf-8")


if __name__ == "__main__":
    main()

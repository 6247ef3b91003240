#!/usr/bin/env python3
"""Writes `facts.json`: what CloudFormation's own resource schemas say of the resource types of this stack.

In: the type names of `src/cloudformation/template.rs` and the schemas that the PyPI package cfn-lint carries,
in the version that `.ci/requirements.txt` pins. Out: one JSON file, read by `src/cloudformation/facts.rs`.
A keyword that says nothing of a value's validity is left out; one that is not known here stops the script, so
that a rule of CloudFormation is never dropped in silence.

    python3 -m venv target/cfn-lint
    target/cfn-lint/bin/pip install --require-hashes -r .ci/requirements.txt
    target/cfn-lint/bin/python infra/stack/facts.py           write facts.json
    target/cfn-lint/bin/python infra/stack/facts.py --check   fail where it differs from what would be written
"""

import difflib
import hashlib
import json
import re
import sys
from importlib.metadata import version
from pathlib import Path

from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

HERE = Path(__file__).resolve().parent
TEMPLATE = HERE / "src/cloudformation/template.rs"
FACTS = HERE / "facts.json"
# Property names and ranges are the same in every region we know; the schemas differ where a service is missing.
REGION = "us-east-1"

# As `src/cloudformation/schema.rs` reads them.
SCALARS = {
    "$ref", "const", "enum", "maximum", "maxItems", "maxLength", "maxUniqueItems", "minimum", "minItems",
    "minLength", "minProperties", "pattern", "required", "requiredXor", "dependentExcluded", "dependentRequired",
    "type", "uniqueItems",
}
# Words for people, hints for code generators, and `format`, which is checked by cfn-lint itself.
LEFT_OUT = {"$comment", "default", "description", "examples", "format", "insertionOrder", "relationshipRef", "title"}


# Lists of one region on one day. AWS adds to them all the time, and a new instance type is not a mistake.
GROWING = {"InstanceType"}


class Unknown(Exception):
    """A schema says something that this script and the Rust code cannot read."""


def ecmascript(pattern):
    """The pattern in the words of ECMAScript, which has no other anchors than `^` and `$`."""
    pattern = re.sub(r"\\Z$", "$", pattern)
    if re.search(r"\\[AzZ]|\(\?[a-zA-Z]|\[\[:|[*+?}]\+", pattern):
        raise Unknown(f"pattern {pattern!r} is not ECMAScript")
    return pattern


def reduced(schema, place):
    """The schema without what says nothing of a value's validity."""
    result = {}
    for key, value in schema.items():
        below = f"{place}.{key}"
        if key in LEFT_OUT or (key == "enum" and place.rsplit(".", 1)[-1] in GROWING):
            continue
        if key == "pattern":
            result[key] = ecmascript(value)
        elif key in SCALARS:
            result[key] = value
        elif key == "properties":
            result[key] = {name: reduced(it, f"{below}.{name}") for name, it in value.items()}
        elif key == "patternProperties":
            result[key] = {ecmascript(name): reduced(it, f"{below}.{name}") for name, it in value.items()}
        elif key == "items":
            result[key] = reduced(value, below)
        elif key in ("anyOf", "oneOf"):
            branches = [reduced(it, below) for it in value]
            # Branches that differed in their `format` alone.
            if {} not in branches:
                result[key] = branches
        elif key == "additionalProperties" and isinstance(value, bool):
            result[key] = value
        else:
            raise Unknown(f"{place}: keyword `{key}`")
    return result


def references(value):
    """The names of the definitions that a schema uses."""
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"].removeprefix("#/definitions/")
        for it in value.values():
            yield from references(it)
    elif isinstance(value, list):
        for it in value:
            yield from references(it)


def reachable(properties, definitions):
    """The definitions that the properties use, directly or through others."""
    found, waiting = {}, list(references(properties))
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = definitions[name]
            waiting.extend(references(definitions[name]))
    return dict(sorted(found.items()))


def paths(schema, key):
    """Property paths with dots; `*` stands for any element of a list."""
    found = (it.removeprefix("/properties/").replace("/", ".") for it in schema.get(key, []))
    return sorted(found)


def name_property(type_name, schema):
    """The property that holds the name people know: `Name`, or `QueueName` of a queue, fixed at creation."""
    last = type_name.rsplit("::", 1)[1]
    fixed = [it for it in paths(schema, "createOnlyProperties") if it.endswith("Name")]
    names = [it for it in fixed if last.endswith(it.removesuffix("Name"))]
    if len(names) > 1:
        raise Unknown(f"{type_name} has the names {names}")
    return names[0] if names else None


# What stands at the top of a schema beside its properties, and is read by `facts` or of no use to it.
KNOWN_AT_THE_TOP = {
    "$comment", "$schema", "additionalIdentifiers", "additionalProperties", "conditionalCreateOnlyProperties",
    "createOnlyProperties", "definitions", "dependentExcluded", "dependentRequired", "deprecatedProperties",
    "description", "documentationUrl", "handlers", "lifecycle", "nonPublicProperties", "primaryIdentifier", "properties",
    "propertyTransform", "readOnlyProperties", "replacementStrategy", "required", "requiredXor", "resourceLink",
    "sourceUrl", "tagging", "taggable",
    "typeConfiguration", "typeName", "writeOnlyProperties",
}


def facts(type_name):
    """Everything that `facts.json` holds of one type."""
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema(REGION, type_name).schema
    if unknown := set(schema) - KNOWN_AT_THE_TOP:
        raise Unknown(f"{type_name}: {sorted(unknown)}")
    rules = ("additionalProperties", "dependentExcluded", "dependentRequired", "properties", "required", "requiredXor")
    shape = reduced({key: schema[key] for key in rules if key in schema}, type_name)
    definitions = {
        name: reduced(it, f"{type_name}.{name}") for name, it in schema.get("definitions", {}).items()
    }
    canonical = json.dumps(schema, sort_keys=True, separators=(",", ":")).encode()
    return {
        "digest": "sha256:" + hashlib.sha256(canonical).hexdigest(),
        "nameProperty": name_property(type_name, schema),
        "createOnly": paths(schema, "createOnlyProperties"),
        "conditionalCreateOnly": paths(schema, "conditionalCreateOnlyProperties"),
        "readOnly": paths(schema, "readOnlyProperties"),
        "shape": shape,
        "definitions": reachable(shape, definitions),
    }


def compact(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def rendered(value, depth, indent=0):
    """JSON with a line for each property and definition, so that a newer schema reads well as a diff."""
    if depth == 0 or not isinstance(value, dict) or not value:
        return compact(value)
    space = " " * (indent + 1)
    lines = (
        f"{space}{json.dumps(key)}: {rendered(it, depth - 1 if key not in LISTS else 1, indent + 1)}"
        for key, it in value.items()
    )
    return "{\n" + ",\n".join(lines) + "\n" + " " * indent + "}"


LISTS = {"properties", "definitions"}


def document():
    names = sorted(set(re.findall(r'"(AWS::\w+::\w+)"', TEMPLATE.read_text(encoding="utf-8"))))
    if not names:
        raise Unknown(f"no resource type stands in {TEMPLATE}")
    source = {"package": "cfn-lint", "version": version("cfn-lint"), "region": REGION}
    return rendered({"source": source, "types": {name: facts(name) for name in names}}, 4) + "\n"


def main():
    try:
        wanted = document()
    except Unknown as error:
        sys.exit(f"facts.py cannot read a schema: {error}")
    if sys.argv[1:] == ["--check"]:
        found = FACTS.read_text(encoding="utf-8")
        if found != wanted:
            lines = difflib.unified_diff(found.splitlines(), wanted.splitlines(), "facts.json", "schemas", "", "", 0, "")
            sys.exit("\n".join([*lines, f"run {Path(__file__).name} and commit facts.json"]))
    elif not sys.argv[1:]:
        FACTS.write_text(wanted, encoding="utf-8")
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()

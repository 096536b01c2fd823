#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""validate_schema.py SCHEMA FILE... [--closed]: checks JSON files against a JSON Schema of draft 2020-12, standard library only.

Knows the keywords that the schemas of this project use and fails on any other, so that a schema never says more than is checked.
--closed: a member that an object's "properties" does not name is an error too. Exit: 0 valid, 1 not, 2 the schema is not one.
"""
import json
import re
import sys

ANNOTATIONS = {"$schema", "$id", "$defs", "title", "description"}
TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}


def is_type(value, name):
    if name == "number":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if name == "integer":
        return not isinstance(value, bool) and (isinstance(value, int) or (isinstance(value, float) and value.is_integer()))
    if name not in TYPES:
        raise SystemExit(f"schema: unknown type {name}")
    return isinstance(value, TYPES[name])


def same(a, b):
    return type(a) is type(b) and a == b


class validator:
    def __init__(self, root, closed):
        self.root, self.closed, self.errors = root, closed, []

    def say(self, path, text):
        self.errors.append(f"{path or '(root)'}: {text}")

    def resolve(self, ref):
        if not ref.startswith("#/"):
            raise SystemExit(f"schema: $ref {ref} is not local")
        node = self.root
        for part in ref[2:].split("/"):
            node = node[part.replace("~1", "/").replace("~0", "~")]
        return node

    def check(self, value, schema, path=""):
        for keyword in schema:
            if keyword in ANNOTATIONS:
                continue
            rule = getattr(self, "rule_" + keyword.replace("$", ""), None)
            if rule is None:
                raise SystemExit(f"schema: keyword {keyword} at {path or '(root)'} is not known to validate_schema.py")
            rule(value, schema[keyword], schema, path)
        return self

    def rule_ref(self, value, ref, _, path):
        self.check(value, self.resolve(ref), path)

    def rule_type(self, value, names, _, path):
        names = [names] if isinstance(names, str) else names
        if not any([is_type(value, n) for n in names]):
            self.say(path, f"is {json.dumps(value)[:60]}, want {' or '.join(names)}")

    def rule_const(self, value, want, _, path):
        if not same(value, want):
            self.say(path, f"is {json.dumps(value)[:60]}, want {json.dumps(want)}")

    def rule_enum(self, value, allowed, _, path):
        if not any(same(value, a) for a in allowed):
            self.say(path, f"is {json.dumps(value)[:60]}, want one of {json.dumps(allowed)}")

    def number(self, value, path, ok, text):
        if is_type(value, "number") and not ok(value):
            self.say(path, f"is {value}, want {text}")

    def rule_minimum(self, value, low, _, path):
        self.number(value, path, lambda v: v >= low, f">= {low}")

    def rule_maximum(self, value, high, _, path):
        self.number(value, path, lambda v: v <= high, f"<= {high}")

    def rule_exclusiveMinimum(self, value, low, _, path):
        self.number(value, path, lambda v: v > low, f"> {low}")

    def rule_pattern(self, value, pattern, _, path):
        if isinstance(value, str) and not re.search(pattern, value):
            self.say(path, f"{value!r} does not match {pattern}")

    def rule_minLength(self, value, n, _, path):
        if isinstance(value, str) and len(value) < n:
            self.say(path, f"is shorter than {n}")

    def rule_minItems(self, value, n, _, path):
        if isinstance(value, list) and len(value) < n:
            self.say(path, f"has {len(value)} items, want at least {n}")

    def rule_maxItems(self, value, n, _, path):
        if isinstance(value, list) and len(value) > n:
            self.say(path, f"has {len(value)} items, want at most {n}")

    def rule_prefixItems(self, value, schemas, _, path):
        if isinstance(value, list):
            for i, (item, schema) in enumerate(zip(value, schemas)):
                self.check(item, schema, f"{path}[{i}]")

    def rule_items(self, value, schema, parent, path):
        if isinstance(value, list):
            for i in range(len(parent.get("prefixItems", [])), len(value)):
                self.check(value[i], schema, f"{path}[{i}]")

    def rule_required(self, value, names, _, path):
        if isinstance(value, dict):
            for name in names:
                if name not in value:
                    self.say(path, f"{name} is not there")

    def rule_properties(self, value, schemas, parent, path):
        if isinstance(value, dict):
            for name, item in value.items():
                if name in schemas:
                    self.check(item, schemas[name], f"{path}.{name}".lstrip("."))
                elif self.closed and "additionalProperties" not in parent:
                    self.say(path, f"{name} is not in the schema")

    def rule_additionalProperties(self, value, schema, parent, path):
        if isinstance(value, dict):
            for name, item in value.items():
                if name not in parent.get("properties", {}):
                    if schema is False:
                        self.say(path, f"{name} is not in the schema")
                    elif schema is not True:
                        self.check(item, schema, f"{path}.{name}".lstrip("."))

    def rule_propertyNames(self, value, schema, _, path):
        if isinstance(value, dict):
            for name in value:
                self.check(name, schema, f"{path}: name {name}")


def no_duplicates(pairs):
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"member {name} twice")
    return dict(pairs)


def not_json(name):
    raise ValueError(f"{name} is not JSON")


def load(path):
    with open(path, encoding="utf-8") as f:
        return json.load(f, object_pairs_hook=no_duplicates, parse_constant=not_json)


def unknown_keywords(schema, path="#"):
    """The whole schema is looked at, also what no document reached."""
    found = []
    for keyword, value in schema.items():
        if keyword in ("properties", "$defs"):
            for name, child in value.items():
                found += unknown_keywords(child, f"{path}/{keyword}/{name}")
        elif keyword in ("items", "additionalProperties", "propertyNames") and isinstance(value, dict):
            found += unknown_keywords(value, f"{path}/{keyword}")
        elif keyword == "prefixItems":
            for i, child in enumerate(value):
                found += unknown_keywords(child, f"{path}/{keyword}/{i}")
        if keyword not in ANNOTATIONS and not hasattr(validator, "rule_" + keyword.replace("$", "")):
            found.append(f"{path}/{keyword}")
    return found


def main(arguments):
    closed = "--closed" in arguments
    paths = [a for a in arguments if a != "--closed"]
    if len(paths) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    schema = load(paths[0])
    unknown = unknown_keywords(schema)
    if unknown:
        print("\n".join(f"{paths[0]}: unknown keyword {u}" for u in unknown), file=sys.stderr)
        return 2
    bad = 0
    for path in paths[1:]:
        try:
            errors = validator(schema, closed).check(load(path), schema).errors
        except ValueError as e:
            errors = [str(e)]
        for e in errors:
            print(f"{path}: {e}", file=sys.stderr)
        bad += len(errors)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

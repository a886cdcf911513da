"""Inputs that a service's model forbids: each member left out, too short, too long, out of bounds, of a wrong type."""

import copy


def wrong_types(kind):
    yield "number", {"string": 7, "blob": 7, "boolean": 7, "list": 7, "map": 7, "structure": 7}.get(kind)
    yield "text", {"integer": "seven", "long": "seven", "boolean": "yes", "list": "x", "map": "x", "structure": "x"
                   }.get(kind)
    yield "truth", {"string": True, "integer": True, "blob": True, "list": True, "structure": True}.get(kind)
    yield "list", {"string": ["x"], "integer": [1], "blob": ["x"], "map": ["x"], "structure": ["x"], "boolean": [True],
                   "timestamp": [1]}.get(kind)
    yield "map", {"string": {"a": "b"}, "integer": {"a": 1}, "blob": {"a": "b"}, "list": {"a": "b"}, "boolean": {"a": 1},
                  "timestamp": {"a": 1}}.get(kind)


def forbidden(shapes, shape):
    """(what is wrong, the value) for one shape's own constraints."""
    told = shapes[shape]
    kind = told["type"]
    for name, value in wrong_types(kind):
        if value is not None:
            yield f"wrong type {name}", value
    low, high = told.get("min"), told.get("max")
    if kind == "string":
        if low:
            yield "short", ""
        if high and high <= 4096:
            yield "long", "a" * (high + 1)
        if "enum" in told:
            yield "enum", "NONSENSE"
        if "pattern" in told:
            yield "pattern", "no thing!" if (high or 99) > 8 else "!"
    elif kind in ("integer", "long"):
        if low is not None:
            yield "low", low - 1
        if high is not None:
            yield "high", high + 1
    elif kind == "list":
        member = told["member"]["shape"]
        if low:
            yield "short", []
        if high:
            yield "long", [sample(shapes, member, i) for i in range(high + 1)]
    elif kind == "map" and high:
        if low:
            yield "short", {}
        yield "long", {f"key{i}": "v" for i in range(high + 1)}
        yield "long key", {"k" * 129: "v"}
        yield "long value", {"k": "v" * 257}


def sample(shapes, shape, index=0):
    told = shapes[shape]
    if told["type"] == "structure":
        return {"Data": b"x", "PartitionKey": str(index)}
    if "enum" in told:
        return told["enum"][index % len(told["enum"])]
    return f"value{index}"


def places(shapes, shape, value, path=()):
    """Every member within the input's structure, as (path, its shape, whether it is required)."""
    told = shapes[shape]
    if told["type"] == "structure":
        for name, member in told["members"].items():
            yield (*path, name), member["shape"], name in told.get("required", [])
            if isinstance(value, dict) and name in value:
                yield from places(shapes, member["shape"], value[name], (*path, name))
    elif told["type"] == "list" and isinstance(value, list) and value:
        inner = told["member"]["shape"]
        if shapes[inner]["type"] == "structure":
            yield from places(shapes, inner, value[0], (*path, 0))
        else:
            yield (*path, 0), inner, False


def with_value(base, path, value, remove=False):
    changed = copy.deepcopy(base)
    at = changed
    for step in path[:-1]:
        at = at[step]
    if remove:
        at.pop(path[-1], None)
    else:
        at[path[-1]] = value
    return changed


def shown(path):
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else (f".{step}" if text else step)
    return text


def camel(path):
    """The member's place as the service's messages name it."""
    names = [step for step in path if isinstance(step, str)]
    return names[-1][:1].lower() + names[-1][1:]


def cases(model, operation, base):
    """(path, what is wrong, the input) for every member that `base` has room for."""
    shapes = model["shapes"]
    for path, member, required in places(shapes, model["operations"][operation]["input"]["shape"], base):
        if required:
            yield path, "missing", with_value(base, path, None, remove=True)
        for what, value in forbidden(shapes, member):
            yield path, what, with_value(base, path, value)


def try_forbidden(model, raw, operation, base, otherwise, names_members=True, left_out=()):
    """What the service does with each forbidden input that it should not, in words; and how many were tried.

    `otherwise`: by (operation or "*", place, what), the error types where the service has a rule of its own.
    `names_members`: whether its messages are those of the model's constraints.
    `left_out`: parts of the places that are not tried."""
    found, tried = [], 0
    for path, what, members in cases(model, operation, base):
        place = shown(path)
        if any(part in place for part in left_out):
            continue
        tried += 1
        wanted = {"SerializationException"} if what.startswith("wrong type") else {"ValidationException"}
        for key in ((operation, place, what), ("*", place, what)):
            wanted = otherwise.get(key, wanted)
        title = f"{operation}: {place} {what}"
        try:
            answer = raw.send(operation, members)
        except Exception as failure:  # noqa: BLE001  the connection must live, too
            found.append(f"{title}: {type(failure).__name__} {failure}")
            raw.close()
            continue
        if answer.status != 400 or answer.error not in wanted:
            found.append(f"{title}: got {answer}, expected 400 {'|'.join(sorted(wanted))}")
        elif names_members and wanted == {"ValidationException"} and not (
            "validation error" in answer.message and camel(path) in answer.message
        ):
            found.append(f"{title}: its message {answer.message!r:.200} names no constraint of {camel(path)!r}")
    return found, tried

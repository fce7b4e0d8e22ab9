"""Reads form bodies, and checks them against parameters.json as Stripe checks what it is sent."""

import json
import re
from pathlib import Path
from urllib.parse import unquote_plus

from errors import StripeError, invalid, unsupported

DOCUMENT = json.loads(__loader__.get_data(str(Path(__file__).with_name("parameters.json"))))  # also out of a zip archive
API_VERSION = DOCUMENT["api_version"]
ROUTES = DOCUMENT["routes"]
DEPTH_MAX = 10
PARAMETERS_MAX = 1_000


def read_form(text):
    """Returns `a[b][0]=1&c[]=2` as {"a": {"b": {"0": "1"}}, "c": ["2"]}."""
    form = {}
    pairs = [pair for pair in text.split("&") if pair]
    if len(pairs) > PARAMETERS_MAX:
        raise invalid("Too many parameters.")
    for pair in pairs:
        name, _, value = pair.partition("=")
        try:
            name, value = unquote_plus(name, errors="strict"), unquote_plus(value, errors="strict")
        except UnicodeDecodeError:
            raise invalid("Invalid request: parameters must be UTF-8.") from None
        match = re.fullmatch(r"([^\[\]]+)((?:\[[^\[\]]*\])*)", name)
        if not match or match[2].count("[") > DEPTH_MAX:
            raise invalid(f"Invalid parameter name: {name[:100]}", name[:100])
        put(form, [match[1], *re.findall(r"\[([^\[\]]*)\]", match[2])], value, name)
    return form


def put(target, path, value, name):
    """Puts a value at its path. `[]` at the end appends; `[][a]` opens a new element once it has an `a`."""
    for index, step in enumerate(path[:-1]):
        following = path[index + 1]
        fresh = [] if following == "" else {}
        if step == "":
            if not target or not isinstance(target[-1], dict) or following in target[-1]:
                target.append(fresh)
            target = target[-1]
        else:
            target = target.setdefault(step, fresh)
        if not isinstance(target, list if following == "" else dict):
            raise invalid(f"Invalid parameter: {name}", name)
    if path[-1] == "":
        target.append(value)
    else:
        target[path[-1]] = value


def is_leaf(value):
    return isinstance(value, str)


def name_of(path):
    return path[0] + "".join(f"[{step}]" for step in path[1:])


def check_route(route, form):
    """Returns the typed parameters of a request, or raises Stripe's error about the first that is wrong."""
    kind = ROUTES[route]
    unknown = list(unknown_names(kind, form, []))
    if unknown:
        raise invalid(f"Received unknown parameter{'s' if len(unknown) > 1 else ''}: {', '.join(unknown)}", unknown[0], "parameter_unknown")
    return check(kind, form, [])


def unknown_names(kind, value, path):
    if isinstance(kind, str) or is_leaf(value):
        return
    if "any" in kind:
        kind = next((one for one in kind["any"] if isinstance(one, dict) and ("fields" in one or "list" in one)), {})
    if "fields" in kind and isinstance(value, dict):
        for name, inner in value.items():
            if name in kind["fields"]:
                yield from unknown_names(kind["fields"][name], inner, path + [name])
            else:
                yield name_of(path + [name])
    elif "list" in kind:
        for index, inner in elements(value):
            yield from unknown_names(kind["list"], inner, path + [str(index)])


def elements(value):
    return enumerate(value) if isinstance(value, list) else value.items()


def check(kind, value, path):
    may_unset = kind.endswith("?") if isinstance(kind, str) else kind.get("unset", False)
    if value == "":
        if may_unset:
            return None
        raise invalid(
            f"You passed an empty string for '{name_of(path)}'. We assume empty values are an attempt to unset a field; however "
            f"'{name_of(path)}' cannot be unset. You should remove '{name_of(path)}' from your request or supply a non-empty value.",
            name_of(path), "parameter_invalid_empty")
    if isinstance(kind, str):
        return check_scalar(kind.rstrip("?"), value, path)
    if "any" in kind:
        return check_any(kind["any"], value, path)
    if "enum" in kind:
        return check_enum(kind["enum"], value, path)
    if is_leaf(value):
        raise invalid(f"Invalid {'array' if 'list' in kind else 'object'}", name_of(path))
    if "list" in kind:
        return check_list(kind["list"], value, path)
    if isinstance(value, list):
        raise invalid("Invalid object", name_of(path))
    if "map" in kind:
        return {name: None if inner == "" else check(kind["map"], inner, path + [name]) for name, inner in value.items()}
    for name in kind.get("required", []):
        if name not in value:
            raise invalid(f"Missing required param: {name_of(path + [name])}.", name_of(path + [name]), "parameter_missing")
    return {name: check(kind["fields"][name], inner, path + [name]) for name, inner in value.items()}


def check_any(kinds, value, path):
    error = None
    for kind in kinds:
        try:
            return check(kind, value, path)
        except StripeError as refusal:
            error = refusal
    raise error


def check_list(kind, value, path):
    if isinstance(value, dict):
        if not all(name.isascii() and name.isdigit() for name in value):
            raise invalid("Invalid array", name_of(path))
        value = [inner for _, inner in sorted(value.items(), key=lambda item: int(item[0]))]
    return [check(kind, inner, path + [str(index)]) for index, inner in enumerate(value)]


def check_enum(values, value, path):
    if is_leaf(value) and value in values:
        return value
    if not is_leaf(value):
        raise invalid("Invalid string", name_of(path))
    commas = ", ".join(values[:-1]) + ("," if len(values) > 2 else "")
    raise invalid(f"Invalid {name_of(path)}: must be one of {f'{commas} or {values[-1]}' if commas else values[0]}", name_of(path))


def check_scalar(kind, value, path):
    if kind == "anything":
        return value
    if not is_leaf(value):
        raise invalid(f"Invalid {kind}: {json.dumps(value)[:100]}", name_of(path))
    if kind == "integer":
        if not re.fullmatch(r"-?[0-9]{1,15}", value):
            raise invalid(f"Invalid integer: {value[:100]}", name_of(path), "parameter_invalid_integer")
        return int(value)
    if kind == "boolean":
        if value not in ("true", "false"):
            raise invalid(f"Invalid boolean: {value[:100]}", name_of(path))
        return value == "true"
    if kind == "number" and not re.fullmatch(r"-?[0-9]{1,15}(\.[0-9]{1,12})?", value):
        raise invalid(f"Invalid decimal: {value[:100]}", name_of(path), "parameter_invalid_decimal")
    if len(value) > 5_000:
        raise invalid(f"Invalid string: {value[:10]}...; must be at most 5000 characters", name_of(path))
    return value


def refuse_unsupported(parameters, supported):
    """Refuses what Stripe takes and the simulator would ignore. A supported path covers what is below it."""
    for path in leaves(parameters, []):
        dotted = ".".join(step for step in path if not step.isdigit())
        if not any(dotted == prefix or dotted.startswith(prefix + ".") for prefix in supported):
            raise unsupported(name_of(path))


def leaves(value, path):
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from leaves(inner, path + [name])
    elif isinstance(value, list) and value:
        for index, inner in enumerate(value):
            yield from leaves(inner, path + [str(index)])
    elif path:
        yield path

"""Compares an object with the annotations of the package's classes, member by member.

A member that is not Optional must be there and not null. A member that the class does not know is wrong. Literals,
lists and nested classes are compared too, so an object of another API version does not pass.
"""

import ast
import importlib
import inspect
import typing
from decimal import Decimal
from types import NoneType, UnionType
from typing import Any, ClassVar, Dict, List, Literal, Union, get_args, get_origin

from stripe._stripe_object import StripeObject, UntypedStripeObject

BASES = {"stripe._api_resource", "stripe._stripe_object"}  # their annotations are not members of an object
HINTS, NAMES = {}, {}
# What Stripe leaves out although the class does not say Optional, or adds although the class does not list it.
LEFT_OUT = set()
ADDED = {"ListObject": {"object", "total_count"}}


def names_of(module):
    """Returns the names of a module with those that it imports for type checkers only."""
    if module.__name__ not in NAMES:
        names = vars(typing) | vars(module)
        for node in ast.parse(inspect.getsource(module)).body:
            if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
                lines = [line for line in node.body if isinstance(line, ast.ImportFrom) and ".params" not in line.module]
                exec(compile(ast.Module(lines, []), module.__name__, "exec"), names)
        NAMES[module.__name__] = names
    return NAMES[module.__name__]


def hints_of(kind):
    if kind not in HINTS:
        module = importlib.import_module(kind.__module__)
        names, outer = dict(names_of(module)), module
        for part in kind.__qualname__.split("."):
            outer = getattr(outer, part)
            names |= vars(outer)
        HINTS[kind] = {
            name: evaluated(annotation, names)
            for one in kind.__mro__ if one.__module__.startswith("stripe.") and one.__module__ not in BASES
            for name, annotation in one.__dict__.get("__annotations__", {}).items()
            if not name.startswith("_") and name != "OBJECT_NAME"
        }
    return HINTS[kind]


def evaluated(annotation, names):
    """Returns a type without forward references: a class, a Literal, or a pair of origin and arguments."""
    if isinstance(annotation, typing.ForwardRef):
        annotation = annotation.__forward_arg__
    if isinstance(annotation, str):
        return evaluated(eval(annotation, names), names)
    arguments = get_args(annotation)
    if get_origin(annotation) is Literal or not arguments:
        return annotation
    return get_origin(annotation), tuple(evaluated(argument, names) for argument in arguments)


def faults(kind, value, path):
    """Yields what is wrong with a value, as text with its path."""
    if isinstance(kind, tuple):
        origin, arguments = kind
        if origin in (Union, UnionType):
            if value is None and NoneType in arguments:
                return
            found = [list(faults(argument, value, path)) for argument in arguments if argument is not NoneType]
            if all(found):
                yield from max(found, key=lambda lines: len(lines[0]))  # the one that looked deepest
        elif origin in (list, List):
            if not isinstance(value, list):
                yield f"{path}: {str(value)[:60]} is no list"
            else:
                for index, element in enumerate(value):
                    yield from faults(arguments[0], element, f"{path}[{index}]")
        elif origin in (dict, Dict) or origin is UntypedStripeObject:
            if not isinstance(value, dict):
                yield f"{path}: {str(value)[:60]} is no map"
        elif isinstance(origin, type) and issubclass(origin, StripeObject):
            yield from faults_of_object(origin, value, path, arguments[0])
        elif origin is ClassVar:
            yield from faults(arguments[0], value, path)
        else:
            raise TypeError(f"shapes.py knows no type {kind!r} at {path}")
    elif get_origin(kind) is Literal:
        if value not in get_args(kind):
            yield f"{path}: {str(value)[:60]} is none of {get_args(kind)[:8]}"
    elif kind in (Any, object) or isinstance(kind, typing.TypeVar):
        return
    elif kind is NoneType:
        if value is not None:
            yield f"{path}: {str(value)[:60]} is not null"
    elif kind is Decimal:
        if not isinstance(value, str):
            yield f"{path}: {str(value)[:60]} is no decimal string"
    elif kind in (str, bool, int, float):
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            yield f"{path}: {str(value)[:60]} is no {kind.__name__}"
    elif isinstance(kind, type) and issubclass(kind, StripeObject):
        yield from faults_of_object(kind, value, path)
    else:
        raise TypeError(f"shapes.py knows no type {kind!r} at {path}")


def faults_of_object(kind, value, path, element=None):
    if not isinstance(value, dict):
        yield f"{path}: {str(value)[:60]} is no {kind.__name__}"
        return
    hints = hints_of(kind)
    for name in value:
        if hints and name not in hints and name not in ADDED.get(kind.__name__, set()):
            yield f"{path}.{name} is unknown to {kind.__name__}"
    for name, hint in hints.items():
        is_optional = isinstance(hint, tuple) and hint[0] in (Union, UnionType) and NoneType in hint[1]
        if name in value:
            if element is not None and name == "data":
                hint = (list, (element,))
            yield from faults(hint, value[name], f"{path}.{name}")
        elif not is_optional and (kind.__name__, name) not in LEFT_OUT:
            yield f"{path}.{name} is missing"


def check(subject):
    """Raises AssertionError with every fault of an object that the package has read."""
    value = subject.to_dict() if isinstance(subject, StripeObject) else subject
    wrong = list(faults(type(subject), plain(value), type(subject).__name__))
    assert not wrong, "\n".join(wrong)
    return subject


def plain(value):
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return str(value) if isinstance(value, Decimal) else value

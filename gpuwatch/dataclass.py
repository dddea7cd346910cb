"""``dataclass``, ``fields``, ``NamedTuple`` and so on as in the standard library, for records that cost little until they are used.

``dataclasses`` compiles six functions for every class at import: with eighty records that is a third of the CPU time of a short
command. Here comparing, hashing and printing are shared, and the one function that is worth compiling, ``__init__``, is compiled
when a class has made its first two dozen objects. ``dataclasses.fields``, ``replace`` and ``asdict`` work on the objects: what they need is made when
they ask for it. Supported is what is used here: positional fields with defaults, ``default_factory``, ``metadata``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["NamedTuple", "dataclass", "field", "fields", "replace"]

if TYPE_CHECKING:
    from dataclasses import dataclass, field, fields, replace
    from typing import NamedTuple
else:
    from collections import namedtuple
    from operator import attrgetter

    class _NamedTupleType(type):
        """Makes the subclasses of ``NamedTuple``: ``typing``'s own compiles each annotation, which takes longer than all else."""

        def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> type:
            names = list(body.get("__annotations__", ()))
            defaults = [body[name] for name in names if name in body]
            made = namedtuple(name, names, defaults=defaults, module=body["__module__"])
            for key, value in body.items():
                if key not in names and key not in ("__module__", "__qualname__"):
                    setattr(made, key, value)
            return made

    NamedTuple = type.__new__(_NamedTupleType, "NamedTuple", (), {})

    class _Nothing:
        def __repr__(self) -> str:
            return "<no default>"

    MISSING = _Nothing()
    SLOW_OBJECTS = 24
    """So many objects of a class cost less without compiling anything."""
    _EMPTY: dict[str, Any] = {}

    class Spec:
        """One field: ``default`` or ``default_factory`` (``MISSING``: none), ``metadata``, and once in a class ``name``, ``type``."""

        __slots__ = ("default", "default_factory", "metadata", "name", "type")

        def __init__(self, default: Any = MISSING, default_factory: Any = MISSING, metadata: Any = _EMPTY) -> None:
            self.name = self.type = ""
            self.default, self.default_factory, self.metadata = default, default_factory, metadata

    def field(*, default: Any = MISSING, default_factory: Any = MISSING, metadata: Any = None) -> Any:
        """A field with a default, a factory of defaults, or metadata."""
        return Spec(default, default_factory, metadata or _EMPTY)

    def fields(record: Any) -> tuple[Spec, ...]:
        """The fields of a record class or object, in the order of their declaration."""
        return tuple(record.__specs__)

    def replace(record: Any, /, **changes: Any) -> Any:
        """A copy of a record with some fields changed."""
        for name in record.__match_args__:
            if name not in changes:
                changes[name] = getattr(record, name)
        return type(record)(**changes)

    class _StandardFields:
        """What ``dataclasses`` itself looks for, made when it looks."""

        def __get__(self, owner: Any, kind: type) -> dict[str, Any]:
            import dataclasses

            made: dict[str, Any] = {}
            for spec in kind.__specs__:
                known = {}
                if spec.default is not MISSING:
                    known["default"] = spec.default
                elif spec.default_factory is not MISSING:
                    known["default_factory"] = spec.default_factory
                entry = dataclasses.field(metadata=spec.metadata, **known)
                entry.name, entry.type, entry._field_type = spec.name, spec.type, dataclasses._FIELD
                made[spec.name] = entry
            return made

    def _repr(self: Any) -> str:
        inner = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__match_args__)
        return f"{type(self).__qualname__}({inner})"

    def _eq(self: Any, other: Any) -> Any:
        if type(self) is not type(other):
            return NotImplemented
        return self is other or self.__values__(self) == self.__values__(other)

    def _hash(self: Any) -> int:
        return hash((type(self), self.__values__(self)))

    def _frozen(self: Any, name: str, value: Any = None) -> None:
        from dataclasses import FrozenInstanceError

        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def _getstate(self: Any) -> Any:
        return tuple([getattr(self, name) for name in self.__match_args__])

    def _setstate(self: Any, state: Any) -> None:
        for name, value in zip(self.__match_args__, state, strict=True):
            object.__setattr__(self, name, value)

    def _compile_init(kind: type) -> Any:
        """The real ``__init__`` of a record class."""
        frozen = kind.__setattr__ is _frozen
        scope: dict[str, Any] = {"_setter": object.__setattr__.__get__}
        arguments, lines = ["self"], [" _put = _setter(self)"] if frozen and kind.__specs__ else []
        for spec in kind.__specs__:
            name, value = spec.name, spec.name
            if spec.default is not MISSING:
                scope[f"_default_{name}"] = spec.default
                arguments.append(f"{name}=_default_{name}")
            elif spec.default_factory is not MISSING:
                scope[f"_make_{name}"], scope["_none"] = spec.default_factory, MISSING
                arguments.append(f"{name}=_none")
                value = f"_make_{name}() if {name} is _none else {name}"
            else:
                arguments.append(name)
            lines.append(f" _put({name!r}, {value})" if frozen else f" self.{name} = {value}")
        if hasattr(kind, "__post_init__"):
            lines.append(" self.__post_init__()")
        exec(f"def __init__({', '.join(arguments)}):\n" + ("\n".join(lines) or " pass"), scope)  # noqa: S102
        return scope["__init__"]

    def _fill(kind: type, self: Any, args: tuple[Any, ...], values: dict[str, Any]) -> None:
        """What the compiled ``__init__`` does, slowly."""
        names = kind.__match_args__
        if len(args) > len(names):
            raise TypeError(f"{kind.__name__}() takes {len(names)} arguments but {len(args)} were given")
        for name, value in zip(names, args):
            if name in values:
                raise TypeError(f"{kind.__name__}() got multiple values for {name!r}")
            values[name] = value
        put = object.__setattr__
        for spec in kind.__specs__:
            name = spec.name
            if name in values:
                put(self, name, values.pop(name))
            elif spec.default is not MISSING:
                put(self, name, spec.default)
            elif spec.default_factory is not MISSING:
                put(self, name, spec.default_factory())
            else:
                raise TypeError(f"{kind.__name__}() misses {name!r}")
        if values:
            raise TypeError(f"{kind.__name__}() got an unexpected {next(iter(values))!r}")
        if hasattr(kind, "__post_init__"):
            self.__post_init__()

    def _first_init(self: Any, *args: Any, **kwargs: Any) -> None:
        """The first objects of a class are filled field by field; a class that is used often gets its compiled ``__init__``."""
        kind = next(base for base in type(self).__mro__ if base.__dict__.get("__init__") is _first_init)
        made = _made[kind] = _made.get(kind, 0) + 1
        if made <= SLOW_OBJECTS:
            _fill(kind, self, args, kwargs)
        else:
            kind.__init__ = init = _compile_init(kind)
            init(self, *args, **kwargs)

    _made: dict[type, int] = {}

    _SHARED = {
        "__init__": _first_init,
        "__repr__": _repr,
        "__getstate__": _getstate,
        "__setstate__": _setstate,
    }

    def _specs(cls: type) -> list[Spec]:
        found = {spec.name: spec for base in reversed(cls.__mro__[1:]) for spec in base.__dict__.get("__specs__", ())}
        for name, kind in cls.__annotations__.items():
            if str(kind).startswith("ClassVar"):
                continue
            given = cls.__dict__.get(name, MISSING)
            spec = given if isinstance(given, Spec) else Spec(given)
            spec.name, spec.type = name, kind
            found[name] = spec
        return list(found.values())

    def _process(cls: type, frozen: bool, slots: bool, eq: bool) -> type:
        specs = _specs(cls)
        body = {name: value for name, value in cls.__dict__.items() if name not in ("__dict__", "__weakref__")}
        inherited = {name for base in cls.__mro__[1:] for name in getattr(base, "__slots__", ())}
        for spec in specs:
            if slots or isinstance(body.get(spec.name), Spec):
                body.pop(spec.name, None)
        if slots:
            body["__slots__"] = tuple(spec.name for spec in specs if spec.name not in inherited)
        shared = dict(_SHARED)
        if eq:
            shared |= {"__eq__": _eq, "__hash__": _hash if frozen else None}
        if frozen:
            shared |= {"__setattr__": _frozen, "__delattr__": _frozen}
        names = tuple([spec.name for spec in specs])
        body = shared | body
        body |= {"__specs__": specs, "__match_args__": names, "__dataclass_fields__": _StandardFields()}
        body["__values__"] = attrgetter(*names) if names else type
        made = type(cls)(cls.__name__, cls.__bases__, body)
        made.__qualname__ = cls.__qualname__
        return made

    def dataclass(cls: Any = None, *, frozen: bool = False, slots: bool = False, eq: bool = True) -> Any:
        """A record class. See the module for how it differs from the standard library's."""
        if cls is None:
            return lambda kind: _process(kind, frozen, slots, eq)
        return _process(cls, frozen, slots, eq)

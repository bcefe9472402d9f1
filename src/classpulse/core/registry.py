"""A table from names to builders, with errors that list what there is."""

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from classpulse.core.errors import InputError

T = TypeVar("T")


class Registry(Generic[T]):
    """Names to things of one kind; iterating gives the names in order of registration.

    Args:
        kind: what the things are, for messages: ``"detector"``.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._things: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator that registers the decorated thing as `name`; a name is given only once."""

        def add(thing: T) -> T:
            if name in self._things:
                raise InputError(f"{self.kind} '{name}' is registered already")
            self._things[name] = thing
            return thing

        return add

    def get(self, name: str) -> T:
        """The thing called `name`; `InputError` lists the known names otherwise."""
        try:
            return self._things[name]
        except KeyError:
            raise InputError(
                f"unknown {self.kind} '{name}'; known: {', '.join(self._things)}"
            ) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._things)

    def __len__(self) -> int:
        return len(self._things)

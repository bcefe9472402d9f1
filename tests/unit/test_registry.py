"""Names to things, and the error tree."""

import pytest

from classpulse.core import errors
from classpulse.core.errors import InputError, MissingExtraError
from classpulse.core.registry import Registry


def filled() -> Registry[int]:
    registry: Registry[int] = Registry("number")
    registry.register("two")(2)
    registry.register("one")(1)
    return registry


def test_get_gives_the_registered_thing() -> None:
    assert filled().get("two") == 2


def test_names_come_in_order_of_registration() -> None:
    assert list(filled()) == ["two", "one"]


def test_length_is_the_number_of_names() -> None:
    assert len(filled()) == 2


def test_the_decorator_gives_the_thing_back() -> None:
    assert filled().register("three")(3) == 3


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="unknown number 'three'; known: two, one"):
        filled().get("three")


def test_a_name_is_given_only_once() -> None:
    with pytest.raises(InputError, match="number 'one' is registered already"):
        filled().register("one")(11)


def test_a_refused_registration_changes_nothing() -> None:
    registry = filled()
    with pytest.raises(InputError):
        registry.register("one")(11)
    assert registry.get("one") == 1


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("ClassPulseError", 1),
        ("InputError", 3),
        ("ShapeError", 3),
        ("LabelError", 3),
        ("ModelError", 4),
        ("OutputError", 5),
        ("PrivacyError", 6),
        ("MissingExtraError", 7),
        ("WorkerError", 8),
    ],
)
def test_exit_codes_are_the_documented_ones(name: str, code: int) -> None:
    assert getattr(errors, name).exit_code == code


def test_every_error_is_a_classpulse_error() -> None:
    found = [c for c in vars(errors).values() if isinstance(c, type)]
    assert len(found) == 10 and all(issubclass(c, errors.ClassPulseError) for c in found)


def test_a_missing_extra_tells_what_to_install() -> None:
    message = str(MissingExtraError("the web", "web"))
    assert message.startswith("the web needs") and "pip install 'classpulse[web]'" in message

import pytest
from pydantic import ValidationError

from components import errors
from components.records import Manifest, content_hash


def test_a_record_is_frozen_and_closed():
    record = Manifest(kind="images", uri="u", sha256="s", rows=1)
    with pytest.raises(ValidationError):
        record.rows = 2
    with pytest.raises(ValidationError):
        Manifest(kind="images", uri="u", sha256="s", rows=1, extra=1)


def test_the_content_hash_ignores_the_order_of_keys_and_nothing_else():
    assert content_hash({"a": 1, "b": 2}) == content_hash({"b": 2, "a": 1})
    assert content_hash({"a": 1}) != content_hash({"a": 1.5})
    assert content_hash("a", "b") != content_hash("ab")


def test_the_tree_in_the_docstring_is_the_tree():
    tree = errors.__doc__
    classes = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]
    assert all(issubclass(kind, errors.LucidfluxError) and kind.__name__ in tree for kind in classes)


def test_a_wrong_name_gets_a_suggestion():
    with pytest.raises(errors.UnknownName, match="Did you mean 'blur'"):
        errors.lookup({"blur": 1, "flatness": 2}, "blurr", kind="filter")

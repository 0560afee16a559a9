import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import pytest

from astra.storage.config_json import from_json, to_json


@dataclass(frozen=True, kw_only=True)
class Square:
    side: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Circle:
    radius: float


@dataclass(frozen=True, kw_only=True)
class Picture:
    name: str
    shape: Square | Circle = field(default_factory=Square)
    colors: tuple[Literal["red", "blue"], ...] = ()
    size: tuple[int, int] = (3, 4)
    weights: Mapping[str, float] = field(default_factory=dict)
    frame: Square | None = None
    title: str | int | None = None
    shown: bool = True


PICTURE = Picture(
    name="a", shape=Circle(radius=2.0), colors=("red", "blue", "red"), weights={"x.y": 0.5}, title=3, shown=False
)


def test_a_field_named_kind_is_refused() -> None:
    @dataclass(frozen=True)
    class Hidden:
        kind: str = "round"

    with pytest.raises(ValueError, match="Hidden has a field `kind`"):
        to_json(Hidden())


@pytest.mark.parametrize("picture", [PICTURE, Picture(name="b", frame=Square(side=2.0), title="t")])
def test_a_configuration_comes_back_equal(picture: Picture) -> None:
    assert from_json(Picture, json.loads(json.dumps(to_json(picture)))) == picture


def test_kind_selects_the_member_of_a_union() -> None:
    assert to_json(PICTURE)["shape"] == {"kind": "Circle", "radius": 2.0}


def test_fields_that_are_left_out_get_their_defaults() -> None:
    assert from_json(Picture, {"kind": "Picture", "name": "a"}) == Picture(name="a")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shape": {"kind": "Oval"}}, r"config.shape: expected one of Square, Circle, got 'Oval'"),
        ({"colors": ["red", "green"]}, r"config.colors\[1\]: expected .*got 'green'"),
        ({"size": [1, 2, 3]}, r"config.size: expected .*got \[1, 2, 3\]"),
        ({"weights": {"x": "much"}}, r"config.weights.x: expected float, got 'much'"),
        ({"shown": 1}, r"config.shown: expected bool, got 1"),
        ({"depth": 1}, r"config: Picture has no field depth"),
        ({"kind": "Square"}, r"expected an object with kind 'Picture', got 'Square'"),
    ],
)
def test_a_value_that_does_not_fit_is_named_with_its_place(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_json(Picture, to_json(PICTURE) | changes)


def test_a_missing_field_is_named() -> None:
    with pytest.raises(ValueError, match=r"config.shape: Circle needs radius"):
        from_json(Picture, {"kind": "Picture", "name": "a", "shape": {"kind": "Circle"}})


def test_a_value_of_an_unsupported_type_is_refused() -> None:
    with pytest.raises(ValueError, match="got 1j in a configuration"):
        to_json({"name": 1j})

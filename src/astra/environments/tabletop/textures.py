"""Textures of the tabletop objects, by VIMA-Bench's names: plain colors and patterns, computed as small images.

Source: the names and the two sets are VIMA-Bench's (Jiang et al., 2022, its partition files); the images are our own.
"""

import colorsys
from collections.abc import Callable
from functools import cache

import numpy as np
from jaxtyping import Float, UInt8

TEXELS = 48
"""Height and width of a texture in texels; it covers the bounding square of an object."""

COLORS: dict[str, tuple[int, int, int]] = {
    "red": (255, 87, 89),
    "green": (89, 169, 79),
    "yellow": (237, 201, 72),
    "blue": (78, 121, 167),
    "purple": (176, 122, 161),
    "cyan": (118, 183, 178),
    "olive": (128, 128, 0),
}
"""Plain colors, RGB."""

WARM_TEXTURES = (
    "red",
    "green",
    "yellow",
    "granite",
    "polka dot",
    "tiger",
    "rainbow",
    "red and yellow stripe",
    "yellow and green stripe",
    "red and yellow polka dot",
    "red and green polka dot",
    "red and blue polka dot",
    "yellow and blue polka dot",
    "green and blue polka dot",
    "red swirl",
    "green swirl",
    "red paisley",
    "yellow paisley",
    "green paisley",
)
"""VIMA-Bench's first set: textures of movable objects in training, and of containers at L2."""
COLD_TEXTURES = (
    "blue",
    "purple",
    "cyan",
    "olive",
    "tiles",
    "wooden",
    "plastic",
    "checkerboard",
    "red and blue stripe",
    "yellow and blue stripe",
    "red and purple stripe",
    "yellow and purple stripe",
    "green and purple stripe",
    "blue and purple stripe",
    "yellow and purple polka dot",
    "green and purple polka dot",
    "blue and purple polka dot",
    "purple swirl",
    "blue swirl",
    "blue paisley",
)
"""VIMA-Bench's second set: textures of containers in training, and of movable objects at L2."""
DARKENED_BY = 0.3
"""Decrease of the value (HSV) in the dark variant of a texture, as in VIMA-Bench."""

Texture = Float[np.ndarray, "48 48 3"]
_U, _V = np.meshgrid(*2 * [(np.arange(TEXELS) + 0.5) / TEXELS], indexing="ij")


def has_dark_variant(name: str) -> bool:
    """Whether VIMA-Bench has a dark variant of this texture."""
    return name in COLORS or (" and " in name) or name.endswith("swirl")


@cache
def texture(name: str) -> UInt8[np.ndarray, "48 48 3"]:
    """Return the image of a texture; "dark NAME" is the darker variant.

    Raises:
        ValueError: if there is no such texture.
    """
    picture = _draw(name.removeprefix("dark "))
    if picture is None:
        known = ", ".join(WARM_TEXTURES + COLD_TEXTURES)
        raise ValueError(f"there is no texture {name!r}; known are {known}, and dark variants of some")
    if name.startswith("dark "):
        value = picture.max(axis=2, keepdims=True) / 255
        picture = picture * np.maximum(value - DARKENED_BY, 0.0) / np.maximum(value, 1e-6)
    result = np.clip(picture, 0, 255).astype(np.uint8)
    result.setflags(write=False)
    return result


def _draw(name: str) -> Texture | None:
    if name in COLORS:
        return _plain(name)
    if name in _SINGLE:
        return _SINGLE[name]()
    if name not in WARM_TEXTURES + COLD_TEXTURES:
        return None
    pattern = next(kind for kind in ("stripe", "polka dot", "swirl", "paisley") if name.endswith(kind))
    first, _, second = name.removesuffix(pattern).strip().partition(" and ")
    if pattern == "stripe":
        return _mix(_stripes(), first, second)
    if pattern == "polka dot":
        return _mix(_dots(), first, second)
    lines = _swirl() if pattern == "swirl" else _paisley()
    return np.where(lines[..., None], _plain(first), 0.45 * _plain(first) + 0.55 * 255)


def _plain(color: str) -> Texture:
    return np.broadcast_to(np.array(COLORS[color], dtype=np.float64), (TEXELS, TEXELS, 3))


def _mix(second_where: np.ndarray, first: str, second: str) -> Texture:
    return np.where(second_where[..., None], _plain(second), _plain(first))


def _gray(value: np.ndarray) -> Texture:
    return np.repeat(255.0 * value[..., None], 3, axis=2)


def _stripes() -> np.ndarray:
    return (_U + _V) * 4 % 1 < 0.5


def _dots() -> np.ndarray:
    return ((_U * 4 % 1 - 0.5) ** 2 + (_V * 4 % 1 - 0.5) ** 2) < 0.09


def _swirl() -> np.ndarray:
    radius, angle = np.hypot(_U - 0.5, _V - 0.5), np.arctan2(_V - 0.5, _U - 0.5)
    return np.sin(3 * angle + 22 * radius) > 0


def _paisley() -> np.ndarray:
    return np.sin(25 * _U + 4 * np.sin(12 * _V)) * np.sin(25 * _V + 4 * np.sin(12 * _U)) > 0.15


def _granite() -> Texture:
    return _gray(0.35 + 0.5 * np.random.default_rng(0).random((TEXELS, TEXELS)))


def _tiger() -> Texture:
    lines = np.sin(38 * _U + 5 * np.sin(9 * _V)) > 0.35
    return np.where(lines[..., None], [30.0, 20.0, 10.0], [240.0, 145.0, 40.0])


def _rainbow() -> Texture:
    hues = [colorsys.hsv_to_rgb(hue, 0.8, 1.0) for hue in np.linspace(0, 0.85, TEXELS)]
    return np.broadcast_to(255 * np.array(hues)[None], (TEXELS, TEXELS, 3))


def _tiles() -> Texture:
    joints = (_U * 4 % 1 < 0.15) | (_V * 4 % 1 < 0.15)
    return np.where(joints[..., None], [235.0, 235.0, 235.0], [110.0, 140.0, 150.0])


def _wooden() -> Texture:
    rings = 0.5 + 0.5 * np.sin(30 * _V + 3 * np.sin(5 * _U))
    return np.array([150.0, 100.0, 55.0]) + rings[..., None] * np.array([50.0, 45.0, 35.0])


def _checkerboard() -> Texture:
    return _gray(((np.floor(_U * 6) + np.floor(_V * 6)) % 2) * 0.85 + 0.1)


def _plastic() -> Texture:
    return np.array([190.0, 205.0, 215.0]) + (40 * np.exp(-18 * ((_U - 0.35) ** 2 + (_V - 0.35) ** 2)))[..., None]


_SINGLE: dict[str, Callable[[], Texture]] = {
    "granite": _granite,
    "polka dot": lambda: _gray(np.where(_dots(), 0.1, 0.95)),
    "tiger": _tiger,
    "rainbow": _rainbow,
    "tiles": _tiles,
    "wooden": _wooden,
    "plastic": _plastic,
    "checkerboard": _checkerboard,
}

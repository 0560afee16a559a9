"""The search for an OpenGL that works, where there is none; drawing is tested with the suites that render."""

from collections.abc import Iterator

import pytest

from astra.environments import mujoco_rendering
from astra.environments.mujoco_rendering import usable_gl


@pytest.fixture(autouse=True)
def _asked_anew() -> Iterator[None]:
    usable_gl.cache_clear()
    yield
    usable_gl.cache_clear()


def test_without_any_opengl_the_error_says_what_was_tried_and_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    monkeypatch.setattr(mujoco_rendering, "KINDS", ("nothing",))
    with pytest.raises(ValueError, match=r"cannot render images here \(nothing: .*MUJOCO_GL.*apt-get install"):
        usable_gl()


def test_an_opengl_that_needs_a_screen_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUJOCO_GL", "glfw")
    with pytest.raises(ValueError, match="MUJOCO_GL is 'glfw', but images are rendered by egl or osmesa: unset it"):
        usable_gl()


def test_a_choice_of_the_user_is_taken_without_a_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    assert usable_gl() == "osmesa"

"""Images of MuJoCo models without a screen: find an OpenGL that works, and render named or free cameras.

MuJoCo can draw by EGL (a GPU, or Mesa on the CPU) or by OSMesa (the CPU). Which of them works is known only after a
picture was drawn, and a driver that fails can end the process. Therefore one small picture is drawn in a process of its
own, once; the answer is kept in the environment variable `MUJOCO_GL`, so that worker processes need not ask again. If
the variable is set, its value is taken.
"""

import atexit
import functools
import importlib
import os
import subprocess
import sys
import weakref
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import UInt8

KINDS = ("egl", "osmesa")
"""Kinds of OpenGL without a screen, in the order in which they are tried."""
TRIAL = """
import mujoco
from mujoco.{kind} import GLContext
context = GLContext(16, 16)
context.make_current()
mujoco.MjrContext(mujoco.MjModel.from_xml_string("<mujoco/>"), mujoco.mjtFontScale.mjFONTSCALE_100)
print("drawn")
"""
"""Program that prints "drawn" if a kind of OpenGL works."""
INSTALL = (
    "on Debian or Ubuntu, apt-get install libegl1 libgl1-mesa-dri, or libosmesa6; states need no OpenGL, so policies "
    "that read no images work without it (astra evaluate with --videos 0)"
)
"""Remedy where no OpenGL works."""


@dataclass(frozen=True, kw_only=True)
class Camera:
    """A camera of a model, or a free one."""

    name: str = ""
    """Name in the model; empty: a free camera."""
    upside_down: bool = False
    """Whether the model's camera hangs upside down, so that its image is turned by 180 degrees."""
    lookat: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Point in meters at which a free camera looks."""
    distance: float = 1.0
    """Distance in meters of a free camera from that point."""
    azimuth: float = 90.0
    """Direction of view of a free camera in degrees about the vertical axis; 90 looks along y."""
    elevation: float = -45.0
    """Elevation of the direction of view of a free camera in degrees; negative looks down."""


@functools.cache
def usable_gl() -> str:
    """Return the kind of OpenGL that works here, and put it into `MUJOCO_GL`.

    Raises:
        ValueError: if none does, or `MUJOCO_GL` names one that needs a screen.
    """
    if chosen := os.environ.get("MUJOCO_GL", "").lower():
        if chosen not in KINDS:
            raise ValueError(f"MUJOCO_GL is {chosen!r}, but images are rendered by {' or '.join(KINDS)}: unset it")
        return chosen
    reasons = []
    for kind in KINDS:
        environment = {**os.environ, "MUJOCO_GL": kind, "PYOPENGL_PLATFORM": kind}
        command = [sys.executable, "-c", TRIAL.format(kind=kind)]
        try:
            tried = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
        except subprocess.TimeoutExpired:
            reasons.append(f"{kind}: no answer after 120 seconds")
            continue
        if "drawn" in tried.stdout:
            os.environ["MUJOCO_GL"] = kind
            return kind
        lines = tried.stderr.strip().splitlines()
        reasons.append(f"{kind}: {lines[-1] if lines else f'the process ended with {tried.returncode}'}")
    raise ValueError(f"MuJoCo cannot render images here ({'; '.join(reasons)}): {INSTALL}")


class SceneRenderer:
    """Renderer of one MuJoCo model with its own OpenGL context; the model's physics is not touched.

    Shadows, reflections and anti-aliasing are off: on a CPU they take most of the time. Equal states give equal images.

    Raises:
        ValueError: if no OpenGL works, or the model has no camera of that name.
    """

    def __init__(self, model: Any, height: int, width: int, *, shadows: bool = False) -> None:
        """Make the context.

        Args:
            model: Model, a `mujoco.MjModel`; its size of offscreen images is raised to that of the images.
            height: Height of the images in pixels.
            width: Width of the images in pixels.
            shadows: Whether shadows and reflections are drawn, as in videos for people.
        """
        self._mujoco = mujoco = importlib.import_module("mujoco")
        self._model = model
        kind = usable_gl()
        try:
            self._context = importlib.import_module(f"mujoco.{kind}").GLContext(width, height)
            self._context.make_current()
        except Exception as error:
            raise ValueError(f"MuJoCo cannot render images by {kind} ({error}): {INSTALL}") from error
        model.vis.global_.offwidth = max(model.vis.global_.offwidth, width)
        model.vis.global_.offheight = max(model.vis.global_.offheight, height)
        model.vis.quality.offsamples = 0
        self._view = mujoco.MjrRect(0, 0, width, height)
        self._scene = mujoco.MjvScene(model, maxgeom=10_000)
        self._options = mujoco.MjvOption()
        self._drawing = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._drawing)
        _close_at_exit()
        _OPEN.add(self)
        for flag in (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION):
            self._scene.flags[flag] = shadows

    def render(self, data: Any, camera: Camera) -> UInt8[np.ndarray, "H W 3"]:
        """Draw the state that `data`, a `mujoco.MjData`, holds.

        Raises:
            ValueError: if the model has no camera of that name.
        """
        mujoco = self._mujoco
        self._context.make_current()
        view = self._viewpoint(camera)
        everything = mujoco.mjtCatBit.mjCAT_ALL
        mujoco.mjv_updateScene(self._model, data, self._options, None, view, everything, self._scene)
        mujoco.mjr_render(self._view, self._scene, self._drawing)
        image = np.empty((self._view.height, self._view.width, 3), np.uint8)
        mujoco.mjr_readPixels(image, None, self._view, self._drawing)
        # OpenGL's first row is the lowest one.
        return np.ascontiguousarray(image[:, ::-1] if camera.upside_down else image[::-1])

    def close(self) -> None:
        """Release the context."""
        self._context.make_current()
        self._drawing.free()
        self._context.free()
        _OPEN.discard(self)

    def _viewpoint(self, camera: Camera) -> Any:
        mujoco = self._mujoco
        view = mujoco.MjvCamera()
        if not camera.name:
            view.type = mujoco.mjtCamera.mjCAMERA_FREE
            view.lookat[:] = camera.lookat
            view.distance, view.azimuth, view.elevation = camera.distance, camera.azimuth, camera.elevation
            return view
        view.type = mujoco.mjtCamera.mjCAMERA_FIXED
        view.fixedcamid = mujoco.mj_name2id(self._model, mujoco.mjtObj.mjOBJ_CAMERA, camera.name)
        if view.fixedcamid < 0:
            names = [self._model.camera(index).name for index in range(self._model.ncam)]
            raise ValueError(f"the model has no camera {camera.name!r}; it has {', '.join(names) or 'none'}")
        return view


class SquareRenderers:
    """Renderers of one model by the side of their square images in pixels, each made when it is first asked for."""

    def __init__(self) -> None:
        """Begin without any."""
        self._by_side: dict[int, SceneRenderer] = {}

    def of(self, model: Any, side: int) -> SceneRenderer:
        """Return the renderer of images of this side.

        Raises:
            ValueError: if no OpenGL works.
        """
        if side not in self._by_side:
            self._by_side[side] = SceneRenderer(model, side, side)
        return self._by_side[side]

    def close(self) -> None:
        """Release all contexts; the next one asked for may be of another model."""
        for renderer in self._by_side.values():
            renderer.close()
        self._by_side.clear()


_OPEN = weakref.WeakSet[SceneRenderer]()


@functools.cache
def _close_at_exit() -> None:
    """Close open renderers at exit; called after the first context, so that this comes before MuJoCo's own clean-up."""
    atexit.register(lambda: [renderer.close() for renderer in list(_OPEN)])

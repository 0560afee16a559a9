"""Install Astra with all development tools into the environment of the Python that runs this file.

    python scripts/install.py cpu|cuda

It differs from `pip install -c constraints.txt -e .[dev]` in two points:

- PyPI's PyTorch for Linux is a CUDA build of several gigabytes. `cpu` installs the CPU build if PyTorch's own index, or
  one that pip is configured with, has it.
- gym-pusht requires opencv-python, which needs libGL. Without libGL, the headless build is installed instead.
"""

import subprocess
import sys
import urllib.request
from importlib.metadata import version
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
CONNECT_SECONDS = 5


def main(build: str) -> None:
    """Install PyTorch, then Astra, then check OpenCV; each step can be repeated."""
    if build not in ("cpu", "cuda"):
        sys.exit(f"got TORCH={build}, expected TORCH=cpu or TORCH=cuda")
    index = ["--extra-index-url", CPU_INDEX] if build == "cpu" and _reachable(f"{CPU_INDEX}/torch/") else []
    source = CPU_INDEX if index else "pip's own index"
    print(f"[2/4] installing PyTorch, {build} build, from {source}: takes some minutes the first time", flush=True)
    _pip("install", "torch", *index, "--constraint", "constraints.txt")
    print("[3/4] installing Astra and its tools", flush=True)
    _pip("install", "--editable", ".[dev]", *index, "--constraint", "constraints.txt")
    print("[4/4] checking OpenCV", flush=True)
    if not _opencv_loads():
        headless = f"opencv-python-headless=={version('opencv-python')}"
        print(f"      it does not load here: installing {headless} instead", flush=True)
        _pip("uninstall", "--yes", "opencv-python")
        _pip("install", "--no-deps", "--force-reinstall", headless)


def _reachable(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=CONNECT_SECONDS):
            return True
    except OSError:
        return False


def _opencv_loads() -> bool:
    return subprocess.run([sys.executable, "-c", "import cv2"], capture_output=True, check=False).returncode == 0


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "-qq", "--disable-pip-version-check", *arguments]
    if subprocess.run(command, cwd=REPOSITORY, stdin=subprocess.DEVNULL, check=False).returncode:
        sys.exit("the installation failed, see pip's message above; try again with `make setup`")


if __name__ == "__main__":
    main(*sys.argv[1:])

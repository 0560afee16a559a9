"""Write docs/source-map.md: every module of src/astra with the first line of its docstring, in reading order.

    python scripts/source_map.py

Folders stand in the order of the layers in pyproject.toml, lowest first. Inside a folder a module stands after the
modules of that folder that it imports.
"""

import ast
import tomllib
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = REPOSITORY / "src" / "astra"
PAGE = REPOSITORY / "docs" / "source-map.md"
INTRODUCTION = """# Source map

Every module of `src/astra` with the first line of its docstring. Read from the top: a folder imports only from the
folders above it, and a file stands below the files of its own folder that it imports.

This page is written by `python scripts/source_map.py`. [Architecture](architecture.md) explains how the parts work
together.
"""


def render() -> str:
    """Return the page."""
    parts = [INTRODUCTION]
    for title, package, files in sections():
        parts.append(f"## {title}\n\n{first_line(package)}\n")
        parts.append("| file | what it is |\n|---|---|")
        parts.extend(f"| `{name}` | {first_line(file)} |" for name, file in files)
        parts.append("")
    return "\n".join(parts)


def sections() -> Iterator[tuple[str, Path, list[tuple[str, Path]]]]:
    """Yield each section of the page: its title, the file with the folder's docstring, its modules by name."""
    names = [name for row in layers() for name in row]
    single = [name for name in names if (PACKAGE / f"{name}.py").exists()]
    yield "Single files", PACKAGE / "__init__.py", [(f"{name}.py", PACKAGE / f"{name}.py") for name in single]
    for name in names:
        if name not in single:
            folder = PACKAGE / name
            files = [(file.relative_to(folder).as_posix(), file) for file in reading_order(folder)]
            yield f"{name}/", folder / "__init__.py", files


def layers() -> list[list[str]]:
    """Return the names of the folders and single files of each layer, lowest layer first."""
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    (contract,) = (each for each in settings["tool"]["importlinter"]["contracts"] if each["type"] == "layers")
    rows = [[name.strip() for name in layer.split("|")] for layer in reversed(contract["layers"])]
    return [[name for name in reversed(row) if name.isidentifier()] for row in rows]


def reading_order(folder: Path) -> list[Path]:
    """Return the modules of a folder, each after those that it imports; subfolders are kept together."""
    entries = {path.stem: path for path in sorted(folder.iterdir()) if is_module(path) or is_package(path)}
    graph = {name: imported(path, folder) & entries.keys() - {name} for name, path in entries.items()}
    sorter = TopologicalSorter(graph)
    sorter.prepare()
    ready = list(sorter.get_ready())
    ordered: list[Path] = []
    while ready:
        name = min(ready)
        ready.remove(name)
        ordered.extend(reading_order(entries[name]) if entries[name].is_dir() else [entries[name]])
        sorter.done(name)
        ready.extend(sorter.get_ready())
    return ordered


def is_module(path: Path) -> bool:
    """Whether a path is a module with a docstring of its own to show."""
    return path.suffix == ".py" and not path.stem.startswith("__")


def is_package(path: Path) -> bool:
    """Whether a path is a folder of modules."""
    return path.is_dir() and (path / "__init__.py").exists()


def imported(path: Path, folder: Path) -> set[str]:
    """Return the entries of a folder that a module or subfolder imports."""
    prefix = ".".join(folder.relative_to(PACKAGE.parent).parts) + "."
    found: set[str] = set()
    for file in path.rglob("*.py") if path.is_dir() else [path]:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                continue
            found |= {name.removeprefix(prefix).split(".")[0] for name in names if name.startswith(prefix)}
    return found


def first_line(file: Path) -> str:
    """Return the first line of a module's docstring, ready for a table."""
    docstring = ast.get_docstring(ast.parse(file.read_text())) or ""
    return docstring.split("\n")[0].replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(render())

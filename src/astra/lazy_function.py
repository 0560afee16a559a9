"""Functions that are imported when they are called, so that a list of names loads without PyTorch."""

import ast
import importlib
import os
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


def import_from_here() -> None:
    """Let imports find modules of the current directory, as `python -m` does; worker processes inherit it."""
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())


def made_by(path: str, kind: type[T], what: str) -> T:
    """Import an object, or the function that makes it.

    Args:
        path: MODULE:ATTRIBUTE.
        kind: class of the object.
        what: what messages call it, such as "suite".

    Raises:
        ValueError: if there is no such attribute, or it is and returns something else.
    """
    module, _, attribute = path.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:  # ValueError: an empty name of a module
        raise ValueError(f"the {what} {path} cannot be imported ({error}); expected MODULE:FUNCTION") from error
    made = found() if callable(found) else found
    if not isinstance(made, kind):
        expected = f"{'an' if kind.__name__[0] in 'AEIOU' else 'a'} {kind.__name__}"
        raise ValueError(f"{path} is a {type(made).__name__}; expected {expected}, or a function that returns one")
    return made


@dataclass(frozen=True)
class LazyFunction:
    """Function of a module that is imported at the first call."""

    module: str
    """Full name of the module."""
    name: str
    """Name of the function in it."""

    def __call__(self, *arguments: Any) -> Any:
        """Import the module and call the function."""
        return getattr(importlib.import_module(self.module), self.name)(*arguments)

    @property
    def docstring(self) -> str:
        """Docstring of the function, read from the source file without running it.

        Raises:
            ValueError: if there is no such module or function.
        """
        for node in self._parsed().body:
            if isinstance(node, ast.FunctionDef) and node.name == self.name:
                return ast.get_docstring(node) or ""
        raise ValueError(f"{self.module} has no function {self.name!r}: check the list that names it")

    @property
    def docstring_of_module(self) -> str:
        """Docstring of the module, read from the source file without running it.

        Raises:
            ValueError: if there is no such module.
        """
        return ast.get_docstring(self._parsed()) or ""

    def _parsed(self) -> ast.Module:
        spec = find_spec(self.module)
        if spec is None or spec.origin is None:
            raise ValueError(f"there is no module {self.module}: check the list that names it")
        return ast.parse(Path(spec.origin).read_text())

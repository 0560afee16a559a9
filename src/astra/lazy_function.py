"""Functions that are imported when they are called, so that a list of names loads without PyTorch."""

import ast
import importlib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any


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
        spec = find_spec(self.module)
        if spec is None or spec.origin is None:
            raise ValueError(f"there is no module {self.module}: check the list that names it")
        for node in ast.parse(Path(spec.origin).read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name == self.name:
                return ast.get_docstring(node) or ""
        raise ValueError(f"{self.module} has no function {self.name!r}: check the list that names it")

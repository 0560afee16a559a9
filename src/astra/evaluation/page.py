"""Self-contained HTML pages: one look, and texts that are shown as text."""

import base64
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any

import jinja2
from matplotlib.figure import Figure

from astra.evaluation.pictures.style import png


def render_page(template: str, filters: Mapping[str, Callable[..., Any]] | None = None, **content: Any) -> str:
    """Render a template with the look of all pages, `style`; every text of the content is escaped.

    Args:
        template: The template.
        filters: Filters that it uses, by name.
        content: Variables of the template.
    """
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined)
    environment.filters |= dict(filters or {})
    style = files("astra.evaluation").joinpath("page.css").read_text()
    return environment.from_string(template).render(style=style, **content)


def png_uri(figure: Figure) -> str:
    """Return a figure as the address of an embedded picture."""
    return f"data:image/png;base64,{base64.b64encode(png(figure)).decode()}"

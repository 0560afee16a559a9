"""The page "Changing the mask" runs, and shows what really happens."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

PAGE = Path(__file__).resolve().parents[1] / "docs" / "changing-the-mask.md"


@pytest.fixture
def ran(capsys: pytest.CaptureFixture[str]) -> Iterator[tuple[dict[str, Any], str]]:
    """The page's names after all its code has run, and what it printed."""
    from astra.attention import masks

    original, namespace = masks.may_attend, dict[str, Any]()
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL))
    try:
        exec(compile(code, PAGE.name, "exec"), namespace)
        assert masks.may_attend is original
        yield namespace, capsys.readouterr().out
    finally:
        masks.may_attend = original


def test_the_page_shows_what_its_code_prints(ran: tuple[dict[str, Any], str]) -> None:
    _, printed = ran
    shown = re.findall(r"^```text\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert " ".join(shown).split() == printed.split()


def test_the_plain_form_lets_queries_see_their_siblings(ran: tuple[dict[str, Any], str]) -> None:
    from astra.attention.segments import Kind

    namespace, _ = ran
    is_query = namespace["ids"].kind == Kind.QUERY
    assert (namespace["mask"][0, 0][is_query][:, is_query] == 0).all()
    assert namespace["of_queries"].shape == (1, 1, 2, 8)
    assert torch.isfinite(namespace["of_queries"]).all()

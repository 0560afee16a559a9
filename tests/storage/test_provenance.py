import sys

import pytest

from astra.storage.provenance import command_line


@pytest.mark.parametrize("program", ["/usr/bin/astra", "/usr/lib/astra/__main__.py"])
def test_a_command_is_recorded_as_it_is_typed_however_the_program_was_started(
    program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [program, "evaluate", "runs/my run", "--episodes", "5"])
    assert command_line() == "astra evaluate 'runs/my run' --episodes 5"

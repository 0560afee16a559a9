"""A dataset with hostile texts is trained on and reported: nothing runs, and nothing is written elsewhere."""

import contextlib
from pathlib import Path

import pytest

from tests.hostile.campaign import load
from tests.hostile.commands import TINY, judge, run
from tests.hostile.isolation import in_child
from tests.hostile.verdicts import Outcome
from tests.hostile.watch import Watch

TEXTS = (
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "{0.__class__.__mro__} {{7*7}} {% include '/etc/passwd' %}",
    "../../../x $(touch x) `touch x` [red]%s%n\x1b[31m",
)
SHORT = ("--training.updates", "2", "--training.validation-every", "2", "--training.checkpoint-every", "2")


def write(folder: Path) -> Path:
    """Write demonstrations whose instructions and names of action dimensions are hostile."""
    import numpy as np

    from astra.datasets import DatasetWriter, Episode
    from astra.trajectory import ActionSpec

    random = np.random.default_rng(0)
    actions = ActionSpec(names=(TEXTS[0], "$\\broken{"), low=(-5.0, -5.0), high=(5.0, 5.0))
    with DatasetWriter(folder, fps=10.0, actions=actions, robot_type=TEXTS[0]) as writer:
        for number in range(6):
            columns = {
                "observation.state": random.standard_normal((8, 3), dtype=np.float32),
                "action": random.standard_normal((8, 2), dtype=np.float32),
            }
            writer.add(Episode(instruction=TEXTS[number % 3], columns=columns, fps=10.0))
    return folder


def check(folder: Path) -> Outcome:
    data, out = write(folder / "data"), folder / "out"
    watch = Watch(folder, [data])
    ran = [
        run("inspect", "dataset", str(data)),
        run("train", "own-data", "--dataset", str(data), "--output", str(out), *TINY, *SHORT),
        run("inspect", "checkpoint", str(out)),
        run("report", str(out), "--held-out", "1"),
    ]
    outcome = judge(ran, [folder], watch)
    page = (out / "report.html").read_text() if (out / "report.html").exists() else ""
    if "<script>alert" in page or "<img src=x" in page:
        return Outcome(verdict="escape", detail="a script in the report")
    return outcome


@pytest.mark.slow
def test_texts_of_a_stranger_do_nothing_on_the_way_from_the_dataset_to_the_report(tmp_path: Path) -> None:
    load()
    ended = in_child(check, tmp_path / "case")
    assert (ended.outcome.verdict, ended.outcome.detail) == ("accepted", "")


@pytest.mark.parametrize(
    "deed",
    [
        "open('../../elsewhere', 'w').close()",
        "import os; os.mkdir('../../elsewhere')",
        "import socket; socket.create_connection(('127.0.0.1', 9), 0.1)",
        "import os; os.system('true')",
        "import pickle, collections; pickle.loads(pickle.dumps(collections.OrderedDict()))",
    ],
)
def test_the_watch_sees_what_hostile_input_must_not_do(deed: str, tmp_path: Path) -> None:
    def attempt(folder: Path) -> Outcome:
        watch = Watch(folder)
        with contextlib.suppress(OSError):
            exec(deed)
        return judge([], [], watch)

    assert in_child(attempt, tmp_path / "case").outcome.verdict == "escape"

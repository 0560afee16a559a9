import json

import pytest
import torch


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    from astra.cli.main import main

    assert main(["inspect", *arguments]) == 0
    return capsys.readouterr().out


def test_the_mask_as_json_is_the_matrix_with_labels(capsys: pytest.CaptureFixture[str]) -> None:
    from astra.attention.masks import trajectory_mask

    sizes = ("--prompt", "2", "--states", "1", "--actions", "2", "--timesteps", "2")
    drawn = json.loads(printed(capsys, "mask", *sizes, "--format", "json"))
    assert drawn["labels"] == [
        *("p1", "p2"),
        *("s1,1", "q1,1", "q2,1", "a1,1", "a2,1"),
        *("s1,2", "q1,2", "q2,2", "a1,2", "a2,2"),
    ]
    assert drawn["matrix"] == trajectory_mask(2, 1, 2, 2, num_queries=2).int().tolist()


def test_the_mask_without_queries_and_with_a_window_is_that_of_the_model(capsys: pytest.CaptureFixture[str]) -> None:
    from astra.attention.masks import trajectory_mask

    sizes = ("--prompt", "1", "--states", "1", "--actions", "1", "--timesteps", "3")
    drawn = json.loads(printed(capsys, "mask", *sizes, "--no-queries", "--window", "2", "--format", "json"))
    assert torch.equal(torch.tensor(drawn["matrix"]).bool(), trajectory_mask(1, 1, 1, 3, window=2))


def test_the_mask_as_text_has_one_line_per_token(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "mask", "--prompt", "1", "--states", "1", "--actions", "1", "--timesteps", "1").splitlines()
    assert [line.split() for line in lines] == [
        ["p1", "s1,1", "q1,1", "a1,1"],
        ["p1", "1", ".", ".", "."],
        ["s1,1", "1", "1", ".", "."],
        ["q1,1", "1", "1", ".", "."],
        ["a1,1", "1", "1", ".", "1"],
    ]


def test_params_as_json_have_the_sizes_of_the_paper(capsys: pytest.CaptureFixture[str]) -> None:
    rows = json.loads(printed(capsys, "params", "--format", "json"))
    counts = {row["name"]: row["trunk_parameters"] for row in rows}
    assert counts["astra-19m"] == 19_439_616
    assert counts["astra-38m"] == 37_829_632
    assert counts["astra-43m"] == 43_315_200
    assert counts["astra-198m"] == 198_087_680
    assert all(set(row) == {"name", "policy", "trunk_parameters", "paper"} for row in rows)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mask", "--prompt", "1", "--states", "0", "--actions", "1", "--timesteps", "1"], "at least 1"),
        (["mask2"], "did you mean 'mask'"),
        (["dataset", "nowhere"], "nowhere"),
        (["checkpoint", "nowhere"], "nowhere"),
        ([], "no thing to inspect was given"),
    ],
)
def test_bad_input_is_one_message_and_exit_code_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from astra.cli.main import main

    assert main(["inspect", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error

"""What `astra inspect dataset` finds, and the page that it writes."""

import base64
import hashlib
import io
import json
import re
import shlex
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from astra.analysis.inspection.findings import PlannedSplit, find
from astra.analysis.inspection.shown_episodes import show_episode
from astra.cli.main import main
from astra.datasets import DatasetWriter, Episode, LeRobotDataset
from astra.tokenizers.actions import DiscreteActionsConfig
from tests.datasets.lerobot.test_checks import DATA, set_column
from tests.datasets.lerobot.test_objects import ACTIONS, episode_of

T = 30
CAMERA = "observation.images.top"


def recorded(seed: int, instruction: str = "lift the cup", length: int = T) -> Episode:
    """Make up an episode whose action moves the state; one camera."""
    random = np.random.default_rng(seed)
    actions = random.normal(size=(length, 2)).astype(np.float32)
    columns = {
        "observation.state": np.cumsum(actions, axis=0, dtype=np.float32),
        CAMERA: random.integers(0, 256, (length, 12, 16, 3), dtype=np.uint8),
        "action": actions,
    }
    return Episode(instruction=instruction, columns=columns, fps=10.0)


def write(folder: Path, episodes: list[Episode]) -> Path:
    with DatasetWriter(folder, fps=10.0) as writer:
        for episode in episodes:
            writer.add(episode)
    return folder


def with_columns(episode: Episode, columns: Mapping[str, np.ndarray]) -> Episode:
    return Episode(instruction=episode.instruction, columns={**episode.columns, **columns}, fps=episode.fps)


def moved(episode: Episode, *factors: float) -> Episode:
    return with_columns(episode, {"action": episode.columns["action"] * np.array(factors, np.float32)})


def stating(episode: Episode, *state: float) -> Episode:
    return with_columns(episode, {"observation.state": np.tile(np.array(state, np.float32), (T, 1))})


def healthy() -> list[Episode]:
    return [recorded(seed) for seed in range(4)]


def frozen() -> list[Episode]:
    hung = recorded(8)
    states = np.array(hung.columns["observation.state"])
    states[5:25] = states[5]
    return [*healthy(), with_columns(hung, {"observation.state": states})]


def stretched() -> list[Episode]:
    odd = recorded(8, length=2000)
    actions = np.array(odd.columns["action"])
    actions[7, 1] = 900.0
    return [*healthy(), with_columns(odd, {"action": actions})]


def findings_of(folder: Path) -> tuple[list[str], list[str]]:
    """Return the kinds of what is wrong and of what deserves a look, as the command finds them."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        dataset = LeRobotDataset.open(folder, decode=False)
    told = [str(warning.message) for warning in warned]
    found = find(dataset, told, DiscreteActionsConfig(), PlannedSplit(validation=0.05, seed=0))
    kinds = [[finding.kind for finding in found if finding.wrong is wrong] for wrong in (True, False)]
    return kinds[0], kinds[1]


@pytest.mark.parametrize(
    ("episodes", "wrong", "notes"),
    [
        (healthy(), [], []),
        ([*healthy(), recorded(0)], ["duplicated episodes"], []),
        ([recorded(0), recorded(0)], ["duplicated episodes", "leakage"], []),
        (frozen(), ["actions that do not move the state"], []),
        (stretched(), ["outliers of actions"], []),
        ([*healthy(), recorded(8, "")], ["warning while reading", "episodes without instruction"], []),
        ([moved(each, 0.0, 0.0) for each in healthy()], ["constant action"], []),
        ([moved(each, 1.0, 0.0) for each in healthy()], [], ["constant action"]),
        ([stating(each, 0.0, 0.0) for each in healthy()], ["constant observation.state"], []),
        ([stating(each, 0.0, 1.0) for each in healthy()], [], ["constant observation.state"]),  # one tool of two
        ([*healthy(), recorded(9, length=2)], [], ["short episodes"]),
        ([recorded(seed, "") for seed in range(3)], [], ["no instructions"]),
    ],
)
def test_each_kind_of_finding_is_named(
    episodes: list[Episode], wrong: list[str], notes: list[str], tmp_path: Path
) -> None:
    assert findings_of(write(tmp_path / "data", episodes)) == (wrong, notes)


@pytest.mark.parametrize("column", ["boxes", "valid"])
def test_equal_actions_among_other_objects_are_no_duplicates(column: str, tmp_path: Path) -> None:
    views, kinds = {"top": (128, 256)}, {}
    for name in ("equal", "other"):
        pair = [episode_of(seed=4, length=3), episode_of(seed=4, length=3)]
        if name == "other":
            values = pair[1].columns[f"observation.objects.top.{column}"]
            values[1, 0] = ~values[1, 0] if column == "valid" else values[1, 0] + 1
        with DatasetWriter(tmp_path / name, fps=1.0, actions=ACTIONS, views=views) as writer:
            for episode in pair:
                shown = {key: value for key, value in episode.columns.items() if ".front." not in key}
                writer.add(Episode(instruction="stop now", columns=shown, fps=1.0))
        kinds[name] = findings_of(tmp_path / name)[0]
    assert "duplicated episodes" in kinds["equal"]
    assert "duplicated episodes" not in kinds["other"]


@pytest.mark.parametrize(
    ("episodes", "unwanted"),
    [
        ([recorded(0), *healthy(), recorded(2)], "1 5"),
        (frozen(), "4"),
        ([*healthy(), recorded(8, ""), recorded(9, "")], "4 5"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*episodes have no instruction")
def test_the_command_that_is_printed_writes_the_dataset_without_what_is_wrong(
    episodes: list[Episode],
    unwanted: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, output = write(tmp_path / "data/my data", episodes), tmp_path / "data/my data-kept"
    assert main(["inspect", "dataset", str(folder)]) == 1
    command = capsys.readouterr().out.splitlines()[-1]
    assert command == f"astra convert lerobot '{folder}' --output 'data/my data-kept' --leave-out {unwanted}"
    monkeypatch.chdir(tmp_path)
    assert main(shlex.split(command)[1:]) == 0
    assert main(["inspect", "dataset", str(output)]) == 0
    kept = LeRobotDataset.open(output)
    wanted = [each for index, each in enumerate(episodes) if str(index) not in unwanted.split()]
    assert [episode.instruction for episode in wanted] == list(kept.instructions)
    for index, episode in enumerate(wanted):
        for column, values in kept.episode(index).columns.items():
            assert np.array_equal(values, episode.columns[column])


def test_an_equal_episode_with_another_instruction_is_found_and_not_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write(tmp_path / "data", [*healthy(), recorded(0, "hold the cup"), recorded(0)])
    assert main(["inspect", "dataset", str(folder)]) == 1
    said = capsys.readouterr().out
    assert "(episodes 0 = 4 = 5): leave them out, unless their instructions differ." in said
    assert said.endswith("--leave-out 5\n")


def test_messages_about_videos_number_the_episodes_as_the_command_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.datasets.lerobot.recordings import pictures, write_mp4, write_version_2

    write_version_2(tmp_path / "data", lengths=(7, 0, 6, 5))
    write_mp4(tmp_path / f"data/videos/chunk-001/{CAMERA}/episode_000002.mp4", pictures(4))
    assert main(["inspect", "dataset", str(tmp_path / "data")]) == 1
    said = capsys.readouterr().out
    assert f"column '{CAMERA}', episode 1, timestep 4" in said
    assert said.endswith("--leave-out 1\n")


def test_no_command_is_printed_that_would_leave_out_every_episode(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.datasets.lerobot.recordings import write_version_3

    write_version_3(tmp_path / "data", lengths=(4, 6), fps=5)
    assert main(["inspect", "dataset", str(tmp_path / "data")]) == 1
    said = capsys.readouterr().out
    assert "the video has 5 frames per second, but info.json says 10" in said
    assert "--leave-out" not in said


def test_a_gap_in_the_timestamps_is_found_and_nan_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write(tmp_path / "data", healthy())
    times = np.tile(np.arange(T), 4) / 10.0
    times[T + 10 : 2 * T] += 0.5
    set_column(folder / DATA, "timestamp", pa.array(times, pa.float32()))
    assert findings_of(folder) == (["warning while reading"], [])
    actions = np.ones((4 * T, 2), np.float32)
    actions[T + 3, 1] = np.nan
    set_column(folder / DATA, "action", pa.FixedSizeListArray.from_arrays(actions.ravel(), 2))
    assert main(["inspect", "dataset", str(folder), "--html", str(tmp_path / "page.html")]) == 2
    assert re.search("column 'action', episode 1, timestep 3: NaN or infinite value", capsys.readouterr().err)


def test_frames_that_never_change_and_blank_ones_are_found_in_shown_episodes(tmp_path: Path) -> None:
    hung, dark = recorded(8), recorded(9)
    frames = np.array(hung.columns[CAMERA])
    frames[:] = frames[0]
    episodes = [recorded(0), with_columns(hung, {CAMERA: frames}), with_columns(dark, {CAMERA: np.zeros_like(frames)})]
    dataset = LeRobotDataset.open(write(tmp_path / "data", episodes), decode=False)
    kinds = [[(finding.kind, finding.wrong) for finding in show_episode(dataset, index)[1]] for index in range(3)]
    assert kinds == [[], [(f"frames of {CAMERA} that never change", True)], [(f"blank frames of {CAMERA}", False)]]


@pytest.mark.parametrize("video", [False, True])
def test_frames_that_never_change_and_blank_ones_are_found_in_all_episodes_with_full(
    video: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hung, dark = recorded(8), recorded(9)
    frames = np.zeros_like(hung.columns[CAMERA])
    still = with_columns(hung, {CAMERA: np.broadcast_to(hung.columns[CAMERA][:1], frames.shape).copy()})
    episodes = [recorded(0), still, with_columns(dark, {CAMERA: frames})]
    with DatasetWriter(tmp_path / "data", fps=10, video=video) as writer:
        for episode in episodes:
            writer.add(episode)
    arguments = ["inspect", "dataset", str(tmp_path / "data"), "--full"]
    assert main(arguments) == int(not video)  # H.264 changes these equal frames a little
    said = capsys.readouterr().out
    assert video or f"Episode 1: all frames of {CAMERA} that were looked at are equal, while the actions change" in said
    assert f"note: blank frames of {CAMERA}: Episode 2: all frames" in said
    assert main([*arguments, "--html", str(tmp_path / "page.html")]) == int(not video)
    assert capsys.readouterr().out.count(f"blank frames of {CAMERA}") == 1, "the page repeats nothing"


def test_dropped_timestamps_and_missing_video_frames_are_found_without_decoding(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.datasets.lerobot.recordings import pictures, write_mp4, write_version_2

    write_version_2(tmp_path / "data", lengths=(7, 6))
    write_mp4(tmp_path / f"data/videos/chunk-000/{CAMERA}/episode_000001.mp4", pictures(4))
    for options in ([], ["--html", str(tmp_path / "page.html")]):
        assert main(["inspect", "dataset", str(tmp_path / "data"), *options]) == 1
        said = capsys.readouterr().out
        assert said.count("WRONG: ") == said.count(f"WRONG: missing or damaged frames of {CAMERA}") == 1
        assert "episode 1" in said
        assert said.endswith("--leave-out 1\n") or "--leave-out 1\npage" in said
    capsys.readouterr()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        arguments = ["convert", "lerobot", str(tmp_path / "data"), "--output", str(tmp_path / "kept")]
        assert main([*arguments, "--leave-out", "1"]) == 0
    assert LeRobotDataset.open(tmp_path / "kept").lengths.tolist() == [7]
    assert main(["inspect", "dataset", str(tmp_path / "kept"), "--full"]) == 0
    assert 'class="no">damaged<' in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize("fault", ["missing", "cut", "of another episode"])
def test_what_training_refuses_is_found_by_inspection(
    fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.datasets.lerobot.recordings import write_version_2

    write_version_2(tmp_path / "data", lengths=(4, 6))
    videos = [tmp_path / f"data/videos/chunk-000/{CAMERA}/episode_{episode:06d}.mp4" for episode in range(2)]
    if fault == "missing":
        videos[1].unlink()
    elif fault == "cut":
        videos[1].write_bytes(videos[1].read_bytes()[: videos[1].stat().st_size // 2])
    else:
        videos[1].write_bytes(videos[0].read_bytes())
    dataset, output = str(tmp_path / "data"), str(tmp_path / "run")
    assert main(["train", "own-data", "--dataset", dataset, "--output", output, "--training.updates", "1"]) == 2
    refusal = capsys.readouterr().err
    assert main(["inspect", "dataset", dataset]) == 1
    found = capsys.readouterr().out
    assert "episode 1" in found
    assert "episode_000001.mp4" in found
    assert "episode_000001.mp4" in refusal


def test_the_page_holds_everything_and_refers_to_nothing(tmp_path: Path) -> None:
    folder, page = write(tmp_path / "data", healthy()), tmp_path / "page.html"
    assert main(["inspect", "dataset", str(folder), "--html", str(page)]) == 0
    html = page.read_text()
    for section in ("Findings", "Episodes", "Tasks", "Lengths and rate", "Actions", "States", "Facts"):
        assert f"<h2>{section}</h2>" in html
    assert "http" not in re.sub(r"base64,[A-Za-z0-9+/=]+|http-equiv", "", html)
    assert all(source.startswith("data:") for source in re.findall(r'(?:src|href)="([^"]*)"', html))
    strips = [base64.b64decode(data) for data in re.findall(r"data:image/jpeg;base64,([A-Za-z0-9+/=]+)", html)]
    assert [Image.open(io.BytesIO(strip)).size for strip in strips] == 4 * [(24 * 16, 12)]
    assert html.count('<input type="range"') == 4
    assert "usually 0.1 s" in html


def test_the_page_names_the_dimensions_of_states_and_counts_one_camera(tmp_path: Path) -> None:
    folder = write(tmp_path / "data", healthy())
    info = json.loads((folder / "meta/info.json").read_text())
    info["features"]["observation.state"]["names"] = ["elbow", "wrist"]
    (folder / "meta/info.json").write_text(json.dumps(info))
    assert main(["inspect", "dataset", str(folder), "--html", str(tmp_path / "page.html")]) == 1  # changed by hand
    page = (tmp_path / "page.html").read_text()
    assert "state[elbow]" in page
    assert "state[0]" not in page
    assert "<b>1</b>camera<" in page


def test_the_page_stays_small_however_large_the_dataset_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("astra.analysis.inspection.page.TASKS", 5)
    many = [recorded(seed, f"task {seed} " + "x" * 4000, length=3) for seed in range(20)]
    folder, page = write(tmp_path / "data", many), tmp_path / "page.html"
    assert main(["inspect", "dataset", str(folder), "--html", str(page)]) == 0
    html = page.read_text()
    assert html.count('class="card episode"') == 12
    assert "And 15 more instructions" in html
    assert len(html) < 100_000


@pytest.fixture
def attack() -> str:
    return "\"><script>alert(1)</script><img src=x onerror=alert(1)>'}}{{ 7*7 }}</style></meter>"


def test_texts_of_a_stranger_are_shown_as_text_and_never_run(
    attack: str, tmp_path: Path, make_info_names: Callable[[Path, str], None]
) -> None:
    episodes = [recorded(0, attack), recorded(0, attack), recorded(1, attack)]
    folder, page = write(tmp_path / "data", episodes), tmp_path / "page.html"
    make_info_names(folder, attack)
    assert main(["inspect", "dataset", str(folder), "--html", str(page)]) == 1
    html = page.read_text()
    (script,) = re.findall(r"<script>(.*?)</script>", html, flags=re.DOTALL)
    allowed = re.findall(r"script-src 'sha256-([^']+)'", html)
    assert [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()] == allowed
    assert html.count("<script") == html.count("</style>") == 1
    assert "<img src=x" not in html
    assert html.count("&lt;script&gt;") > 5


@pytest.fixture
def make_info_names() -> Callable[[Path, str], None]:
    """Name the action dimensions of a dataset and its robot with a text."""
    import json

    def rename(folder: Path, text: str) -> None:
        path = folder / "meta/info.json"
        info = json.loads(path.read_text())
        info["features"]["action"]["names"] = [text, "y"]
        info["robot_type"] = text
        path.write_text(json.dumps(info))
        (folder / "meta/info.json.sha256").unlink()

    return rename

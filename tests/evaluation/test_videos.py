from pathlib import Path

import av
import numpy as np
import pytest

from astra.evaluation.pictures.style import png
from astra.evaluation.pictures.videos import film_strip, read_video, write_video


def clip(count: int, height: int = 33, width: int = 45) -> list[np.ndarray]:
    return [np.full((height, width, 3), 10 * number, np.uint8) for number in range(count)]


def test_a_video_is_read_back_with_its_frames_in_order_and_even_sizes(tmp_path: Path) -> None:
    path = write_video(clip(17), tmp_path / "videos" / "clip.mp4", fps=10.0)
    frames = read_video(path)
    assert len(frames) == 17
    assert frames[0].shape == (34, 46, 3)
    assert [int(np.round(frame.mean())) for frame in frames] == pytest.approx([10 * n for n in range(17)], abs=4)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("fps", [1.0, 9.5, 30.0])
def test_a_video_lasts_as_long_as_its_episode(tmp_path: Path, fps: float) -> None:
    with av.open(str(write_video(clip(19), tmp_path / "clip.mp4", fps=fps))) as container:
        stream = container.streams.video[0]
        assert stream.frames == 19
        assert stream.average_rate is not None
        assert float(stream.average_rate) == pytest.approx(fps)


def test_a_film_strip_shows_first_and_last_timestep() -> None:
    figure = film_strip(clip(21), num_frames=6, title="push")
    labels = [axes.get_title() for axes in figure.axes if axes.images]
    assert labels == ["t = 0", "t = 4", "t = 8", "t = 12", "t = 16", "t = 20"]


def test_a_film_strip_names_what_was_done_when() -> None:
    figure = film_strip(clip(21), num_frames=5, title="tidy", done={"door": 7, "kettle": 13, "light": 13, "later": 99})
    labels = [axes.get_title() for axes in figure.axes if axes.images]
    assert labels == ["t = 0", "t = 7, door", "t = 10", "t = 13, kettle, light", "t = 20"]
    many = film_strip(clip(9), num_frames=2, done={str(timestep): timestep for timestep in range(3, 6)})
    assert [axes.get_title() for axes in many.axes if axes.images] == [
        "t = 0",
        "t = 3, 3",
        "t = 4, 4",
        "t = 5, 5",
        "t = 8",
    ]


def test_a_short_episode_gives_a_short_strip() -> None:
    assert sum(bool(axes.images) for axes in film_strip(clip(3)).axes) == 3


def test_without_frames_there_is_no_video_and_no_strip(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one frame"):
        write_video([], tmp_path / "clip.mp4", fps=10.0)
    with pytest.raises(ValueError, match="at least one frame"):
        film_strip([])


def test_dollar_signs_in_a_title_are_no_formula() -> None:
    frames = [np.zeros((8, 8, 3), np.uint8)]
    for title in ("costs $5", r"a $\frac{broken$ formula", "$$", r"\$"):
        assert png(film_strip(frames, title=title)).startswith(b"\x89PNG")

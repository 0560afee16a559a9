"""A prompt with pictures as one picture."""

import numpy as np


def crops(*colors: int) -> dict[str, np.ndarray]:
    """Objects of one red each, which no letter has; one of color 0 is hidden."""
    return {
        "crops": np.stack([np.tile(np.array([red, 0, 0], np.uint8), (32, 32, 1)) for red in colors]),
        "boxes": np.zeros((len(colors), 4), np.float32),
        "valid": np.array([color > 0 for color in colors]),
    }


def where(picture: np.ndarray, red: int) -> np.ndarray:
    """Find a color."""
    return (picture == (red, 0, 0)).all(-1)


def test_pictures_stand_at_their_placeholders_in_reading_order() -> None:
    from astra.evaluation.prompt_picture import LINE, SIDE, prompt_picture

    pictures = {"base": {"top": crops(200), "front": crops(10)}, "dragged": {"top": crops(100), "front": crops(10)}}
    line = prompt_picture("Put {dragged} into {base}.", pictures, 400)
    assert line.shape == (LINE, 400, 3)
    (first, *_), (second, *_) = (np.flatnonzero(where(line, red)[LINE // 2]) for red in (100, 200))
    assert first < second
    assert where(line, 100)[2 : 2 + SIDE, first : first + SIDE].all()
    assert (line[:, first + SIDE : second] < 150).any(), "the word between them"


def test_hidden_objects_are_left_out_and_long_prompts_take_more_lines() -> None:
    from astra.evaluation.prompt_picture import LINE, SIDE, prompt_picture

    scene = {"scene": {"top": crops(50, 0, 90, 120)}}
    sheet = prompt_picture("Like {scene}", scene, 90)
    assert [int(where(sheet, red).sum()) for red in (50, 90, 120)] == [SIDE * SIDE] * 3
    assert sheet.shape[0] == 3 * LINE
    assert prompt_picture("Reach {nothing}", scene, 400).shape[0] == LINE


def test_recorded_frames_show_a_prompt_that_has_pictures() -> None:
    from astra.environments.tabletop.environment import TabletopConfig
    from astra.evaluation.episode import Case, RolloutEnv
    from astra.evaluation.prompt_picture import prompt_picture

    environment = TabletopConfig().build()
    options = {"task": "visual_manipulation", "level": "L1"}
    slot = RolloutEnv(environment, 0, Case(seed=3, options=options, record=True))
    world = environment.frame()
    slot.step(environment.expert_action())
    first, last = slot.result().frames
    banner = prompt_picture(environment.instruction, environment.prompt_pictures, world.shape[1])
    np.testing.assert_array_equal(first, np.concatenate([banner, world]))
    np.testing.assert_array_equal(last, np.concatenate([banner, environment.frame()]))

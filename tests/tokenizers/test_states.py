from dataclasses import replace

import pytest
import torch

from astra.objects import Objects, ObjectSpec, PromptPictures
from astra.tokenizers.language.words import WordTokenizer
from astra.tokenizers.states import StateConfig, StateTokenizer
from astra.tokenizers.vision.images import ImageConfig
from astra.trajectory import Modality, Observation, Statistics, Trajectory, TrajectorySpec

WIDTH = 8
CONFIG = StateConfig(images=ImageConfig(image_size=32))


@pytest.fixture
def spec(tiny_spec: TrajectorySpec) -> TrajectorySpec:
    return replace(tiny_spec, images={"observation.image": (32, 32)})


@pytest.fixture
def trajectory(tiny_trajectory: Trajectory) -> Trajectory:
    frames = torch.randint(256, (2, 3, 3, 32, 32), dtype=torch.uint8)
    return replace(tiny_trajectory, images={"observation.image": frames})


@pytest.fixture
def states(spec: TrajectorySpec, tiny_statistics: Statistics) -> StateTokenizer:
    return CONFIG.build(spec, tiny_statistics, WIDTH)


def observation_at(trajectory: Trajectory, timestep: int) -> Observation:
    return Observation(
        states={name: value[:, timestep] for name, value in trajectory.states.items()},
        images={name: value[:, timestep] for name, value in trajectory.images.items()},
        previous_action=trajectory.actions[:, timestep],
    )


def test_one_token_per_state_vector_and_camera(states: StateTokenizer, trajectory: Trajectory):
    assert states.num_tokens == 3
    assert states(trajectory)[0].shape == (2, 3, 3, WIDTH)
    assert states(observation_at(trajectory, 1))[0].shape == (2, 3, WIDTH)


def test_vectors_come_first_in_the_order_of_the_spec(states: StateTokenizer, trajectory: Trajectory):
    tokens, _ = states(trajectory)
    names = ("observation.state", "observation.environment_state", "observation.image")
    assert states.description.startswith(", ".join(names))
    for i, name in enumerate(names):
        columns = {**trajectory.states, **trajectory.images}
        noise = torch.randint(200, columns[name].shape).to(columns[name].dtype)
        changed = replace(
            trajectory,
            states={**trajectory.states, name: noise} if name in trajectory.states else trajectory.states,
            images={name: noise} if name in trajectory.images else trajectory.images,
        )
        differs = (states(changed)[0] != tokens).any(-1).any(0).any(0)
        assert differs.nonzero().flatten().tolist() == [i]


def test_the_order_of_the_batch_does_not_matter(states: StateTokenizer, trajectory: Trajectory):
    shuffled = replace(trajectory, states=dict(reversed(list(trajectory.states.items()))))
    assert torch.equal(states(shuffled)[0], states(trajectory)[0])


def test_an_observation_gives_the_tokens_of_its_timestep(states: StateTokenizer, trajectory: Trajectory):
    tokens, _ = states(trajectory)
    for timestep in range(trajectory.num_timesteps):
        assert torch.allclose(states(observation_at(trajectory, timestep))[0], tokens[:, timestep], atol=1e-5)


def test_states_without_cameras_have_no_image_encoder(
    tiny_spec: TrajectorySpec, tiny_statistics: Statistics, tiny_trajectory: Trajectory
):
    states = CONFIG.build(tiny_spec, tiny_statistics, WIDTH)
    assert states(tiny_trajectory)[0].shape == (2, 3, 2, WIDTH)
    assert states.description == "observation.state, observation.environment_state"
    assert all(name.startswith("vectors.") for name in states.state_dict())


def test_cameras_alone_are_enough(spec: TrajectorySpec, tiny_statistics: Statistics, trajectory: Trajectory):
    states = CONFIG.build(replace(spec, states={}), tiny_statistics, WIDTH)
    assert states(trajectory)[0].shape == (2, 3, 1, WIDTH)
    assert states.description == "observation.image; images: resnet (tiny), random weights, trained"


def test_a_spec_without_states_is_refused(tiny_spec: TrajectorySpec, tiny_statistics: Statistics):
    with pytest.raises(ValueError, match="at least one state vector, camera or object"):
        CONFIG.build(replace(tiny_spec, states={}), tiny_statistics, WIDTH)


def test_gradient_reaches_every_parameter(states: StateTokenizer, trajectory: Trajectory):
    states(trajectory)[0].square().sum().backward()
    assert [name for name, p in states.named_parameters() if p.grad is None] == []


OBJECTS = ObjectSpec(views={"top": (32, 32), "front": (32, 32)}, max_objects=3, max_pictured=1)


def some_objects(*shape: int) -> dict[str, Objects]:
    def view() -> Objects:
        crops = torch.randint(256, (*shape, 32, 32, 3), dtype=torch.uint8)
        return Objects(crops=crops, boxes=30 * torch.rand(*shape, 4), valid=torch.ones(*shape, dtype=torch.bool))

    return {name: view() for name in OBJECTS.views}


@pytest.mark.parametrize(
    ("reads", "tokens"),
    [
        (None, 2 + 1 + 6),
        (("vectors", "images", "objects"), 2 + 1 + 6),
        (("objects", "vectors"), 2 + 6),
        (("vectors", "images"), 2 + 1),
        (("images",), 1),
        (("objects",), 6),
    ],
)
def test_a_policy_reads_the_parts_of_a_state_that_it_names(
    reads: tuple[Modality, ...] | None,
    tokens: int,
    spec: TrajectorySpec,
    tiny_statistics: Statistics,
    trajectory: Trajectory,
):
    spec = replace(spec, objects=OBJECTS)
    trajectory = replace(trajectory, objects=some_objects(2, 3, 3))
    states = replace(CONFIG, reads=reads).build(spec, tiny_statistics, WIDTH)
    assert states.num_tokens == tokens
    given, valid = states(trajectory)
    assert given.shape == (2, 3, tokens, WIDTH)
    assert valid.shape == (2, 3, tokens)
    assert (states.images is None) == (reads is not None and "images" not in reads)
    read = reads or ("vectors", "images", "objects")
    bare = replace(
        trajectory,
        images=trajectory.images if "images" in read else {},
        objects=trajectory.objects if "objects" in read else {},
    )
    assert torch.equal(states(bare)[0], given)  # what is not read need not be there


def test_pictured_objects_stay_tokens_where_states_show_none(
    spec: TrajectorySpec, tiny_statistics: Statistics, trajectory: Trajectory
):
    for objects in (OBJECTS, replace(OBJECTS, max_objects=0)):
        shown = replace(spec, objects=objects, instructions=("stack the {thing}",))
        states = replace(CONFIG, reads=("images",)).build(shown, tiny_statistics, WIDTH)
        assert states.num_tokens == 1
        assert states(trajectory)[0].shape == (2, 3, 1, WIDTH)
        words = WordTokenizer(shown.instructions, WIDTH, 8, objects)
        pictures = PromptPictures(views=some_objects(1, 1), placeholder=torch.zeros(1, 1, dtype=torch.long))
        prompt, valid = words(shown.instructions, pictures, states.objects)
        assert prompt.shape == (1, 4, WIDTH)
        assert valid.all()


def test_without_pictures_in_prompts_a_policy_of_images_has_no_encoder_of_objects(
    spec: TrajectorySpec, tiny_statistics: Statistics
):
    spec = replace(spec, objects=replace(OBJECTS, max_pictured=0))
    assert replace(CONFIG, reads=("images",)).build(spec, tiny_statistics, WIDTH).objects is None


@pytest.mark.parametrize("reads", [("objects",), ("vectors", "objects"), ()])
def test_what_the_data_do_not_show_cannot_be_read(
    reads: tuple[Modality, ...], spec: TrajectorySpec, tiny_statistics: Statistics
):
    with pytest.raises(ValueError, match=r"states.reads=.*but the data has vectors and images"):
        replace(CONFIG, reads=reads).build(spec, tiny_statistics, WIDTH)


def test_all_tokens_of_what_a_trajectory_lacks_are_invalid(
    tiny_spec: TrajectorySpec, tiny_statistics: Statistics, tiny_trajectory: Trajectory
):
    cameras = ("observation.images.top", "observation.images.wrist")
    spec = replace(tiny_spec, images=dict.fromkeys(cameras, (16, 16)))
    images = ImageConfig(encoder="small", image_size=16, patch_size=8, tokens="patches")
    states = StateConfig(images=images).build(spec, tiny_statistics, WIDTH)
    frames = {name: torch.randint(256, (2, 3, 3, 16, 16), dtype=torch.uint8) for name in cameras}
    present = {cameras[1]: torch.tensor([True, False]), "observation.environment_state": torch.tensor([False, True])}
    _, valid = states(replace(tiny_trajectory, images=frames, present=present))
    each = (states.num_tokens - 2) // 2
    assert each > 1
    expected = torch.ones(2, 3, 2 + 2 * each, dtype=torch.bool)
    expected[0, :, 1] = expected[1, :, 2 + each :] = False
    assert torch.equal(valid, expected)

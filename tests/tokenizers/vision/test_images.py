import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch

from astra.tokenizers.vision.images import IMAGENET_MEAN, ImageConfig, ImageTokenizer
from astra.tokenizers.vision.pretrained import Frozen
from astra.tokenizers.vision.small import SmallImageEncoder
from astra.trajectory import ActionSpec, Statistics, TrajectorySpec, VectorStatistics

WIDTH = 8
CAMERAS = {"observation.images.front": (32, 32), "observation.images.wrist": (24, 40)}
ACTIONS = ActionSpec(names=("x",), low=(0.0,), high=(1.0,))
SPEC = TrajectorySpec(states={}, actions=ACTIONS, images=CAMERAS)
ONE = torch.ones(1)
STATISTICS = Statistics(states={}, actions=VectorStatistics(mean=ONE, std=ONE, min=0 * ONE, max=ONE))


def frames(*batch: int) -> dict[str, torch.Tensor]:
    return {name: torch.randint(256, (*batch, 3, *size), dtype=torch.uint8) for name, size in CAMERAS.items()}


def build(**options: Any) -> ImageTokenizer:
    return ImageConfig(image_size=32, **options).build(SPEC, STATISTICS, WIDTH)


@pytest.mark.parametrize("encoder", ["resnet", "vit", "mae", "small"])
def test_one_token_per_camera(encoder: str):
    images = build(encoder=encoder)
    assert images(frames(2, 3)).shape == (2, 3, 2, WIDTH)
    assert images(frames(4)).shape == (4, 2, WIDTH)
    assert images.num_tokens == 2


def test_a_token_depends_on_its_own_frame_only():
    images = build(encoder="resnet").train()
    before = frames(2, 3)
    after = {name: value.clone() for name, value in before.items()}
    after["observation.images.wrist"][1, 2] = torch.randint(256, (3, 24, 40), dtype=torch.uint8)
    differs = (images(before) - images(after)).abs().amax(-1) > 1e-5
    assert differs.nonzero().tolist() == [[1, 2, 1]]


def test_the_order_of_the_tokens_is_the_specs_and_not_the_batchs():
    images = build(encoder="vit")
    batch = frames(2)
    assert torch.equal(images(batch), images(dict(reversed(batch.items()))))


def test_a_frame_of_the_mean_color_is_normalized_to_zero():
    mean_color = (torch.tensor(IMAGENET_MEAN) * 255).round().to(torch.uint8)
    pixels = build().pixels(mean_color[:, None, None].expand(1, 3, 10, 20))
    assert pixels.shape == (1, 3, 32, 32)
    assert pixels.abs().max() < 0.01


PATCHES: dict[str, Any] = {"tokens": "patches", "patch_size": 8}
"""Images of 32 x 32 pixels have 4 x 4 patches; those of 16 x 48 have 2 x 6."""


@pytest.mark.parametrize(
    ("encoder", "size", "count"), [("vit", 32, 16), ("mae", 32, 16), ("small", 32, 16), ("vit", (16, 48), 12)]
)
def test_one_token_per_patch_of_each_camera(encoder: Any, size: int | tuple[int, int], count: int):
    images = ImageConfig(encoder=encoder, image_size=size, **PATCHES).build(SPEC, STATISTICS, WIDTH)
    assert images.num_tokens == 2 * count
    assert images(frames(2, 3)).shape == (2, 3, 2 * count, WIDTH)
    assert images(frames(4)).shape == (4, 2 * count, WIDTH)
    assert f"{encoder}" in images.description
    assert f"{count} patches per camera" in images.description


@pytest.mark.parametrize("encoder", ["vit", "small"])
def test_patches_come_camera_by_camera_and_row_by_row(encoder: Any):
    images = ImageConfig(encoder=encoder, image_size=(16, 32), **PATCHES).build(SPEC, STATISTICS, WIDTH)
    wide = {name: torch.randint(256, (1, 3, 16, 32), dtype=torch.uint8) for name in CAMERAS}
    before = images(wide)
    for camera, name in enumerate(CAMERAS):
        for row, column in ((0, 0), (0, 3), (1, 0), (1, 2)):
            pixels = wide[name].clone()
            square = pixels[..., 8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
            square.copy_(torch.randint(256, square.shape, dtype=torch.uint8))
            moved = (images({**wide, name: pixels}) - before)[0].norm(dim=-1)
            assert int(moved.argmax()) == 8 * camera + 4 * row + column  # the others of its camera only read it
            assert not moved.unflatten(0, (2, 8))[1 - camera].any()


def test_a_pixel_changes_its_own_patch_alone():
    images = ImageConfig(encoder="small", image_size=(64, 128), patch_size=32, tokens="patches").build(
        SPEC, STATISTICS, WIDTH
    )
    frame = torch.randint(256, (1, 3, 64, 128), dtype=torch.uint8)
    changed = frame.clone()
    changed[0, :, 40, 70] ^= 255
    differs = (images.features(changed) - images.features(frame)).unflatten(1, (8, -1)).abs().amax(-1)[0]
    assert differs.nonzero().flatten().tolist() == [6]


def test_the_small_encoder_normalizes_colors_by_its_weights():
    images = ImageConfig(encoder="small", image_size=32, patch_size=4, tokens="patches").build(SPEC, STATISTICS, WIDTH)
    encoder = images.encoder
    assert isinstance(encoder, SmallImageEncoder)
    frame = torch.randint(256, (1, 3, 32, 32), dtype=torch.uint8)
    normalized = (frame / 255 - images.mean) / images.std
    first = encoder.stages[0](normalized[0, :, :4, :4].permute(1, 2, 0).flatten())
    expected = encoder.end(torch.relu(first))
    assert torch.allclose(images.features(frame)[0, : encoder.width], expected, atol=1e-4)


def test_the_small_encoder_is_small():
    spec = TrajectorySpec(states={}, actions=ACTIONS, images={"observation.images.top": (64, 128)})
    for tokens, most in (("patches", 100_000), ("camera", 400_000)):
        config = ImageConfig(encoder="small", image_size=(64, 128), patch_size=32, tokens=tokens)  # pyright: ignore[reportArgumentType]
        images = config.build(spec, STATISTICS, 128)
        assert 50_000 < sum(p.numel() for p in images.parameters()) < most


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoder": "resnet", "tokens": "patches"}, "a resnet has no patches"),
        ({"encoder": "small", "pretrained": "somewhere"}, "the small encoder has no pretrained weights"),
        ({"encoder": "vit", "image_size": (64, 100), "patch_size": 32}, "not a multiple of images.patch_size=32"),
        ({"encoder": "small", "image_size": 36, "patch_size": 12}, "merges patches of 4 pixels two by two"),
        ({"encoder": "mae", "image_size": (32, 64)}, "an mae needs square images"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        ImageConfig(**options).build(SPEC, STATISTICS, WIDTH)


def test_patches_of_a_frozen_encoder_are_its_features(save_image_model: Callable[[str], str]):
    images = build(encoder="vit", pretrained=save_image_model("vit"), frozen=True, tokens="patches")
    assert images.num_tokens == 2 * 16
    batch = frames(2, 3)
    cached = {name: images.features(frame.flatten(0, 1)).unflatten(0, (2, 3)) for name, frame in batch.items()}
    assert torch.allclose(images.project(cached), images(batch), atol=1e-5)
    assert images.fingerprint != build(encoder="vit", pretrained=images.config.pretrained, frozen=True).fingerprint


@pytest.mark.parametrize("encoder", ["resnet", "vit", "mae"])
@pytest.mark.parametrize("pretrained", [False, True])
def test_gradient_reaches_every_trained_parameter(
    encoder: str, pretrained: bool, save_image_model: Callable[[str], str]
):
    images = build(encoder=encoder, pretrained=save_image_model(encoder) if pretrained else None)
    images(frames(2, 2)).square().sum().backward()
    trained = {name: p for name, p in images.named_parameters() if p.requires_grad}
    assert any(name.startswith("encoder") for name in trained)
    assert [name for name, p in trained.items() if p.grad is None] == []


@pytest.mark.parametrize("encoder", ["resnet", "vit", "mae"])
def test_a_frozen_encoder_is_not_trained_not_saved_and_shared_by_copies(
    encoder: str, save_image_model: Callable[[str], str]
):
    images = build(encoder=encoder, pretrained=save_image_model(encoder), frozen=True).train()
    images(frames(2)).square().sum().backward()
    names = {f"projections.{camera}.{part}" for camera in (0, 1) for part in ("weight", "bias")}
    assert isinstance(images.encoder, Frozen)
    frozen = images.encoder.encoder
    assert {name for name, _ in images.named_parameters()} == set(images.state_dict()) == names
    assert all(p.grad is not None for p in images.parameters())
    assert all(p.grad is None and not p.requires_grad for p in frozen.parameters())
    assert not any(module.training for module in frozen.modules())
    assert copy.deepcopy(images).encoder is images.encoder


def test_frozen_and_trained_encoders_start_equal(save_image_model: Callable[[str], str]):
    folder = save_image_model("resnet")
    frozen, trained = build(pretrained=folder, frozen=True), build(pretrained=folder)
    trained.projections.load_state_dict(frozen.projections.state_dict())
    batch = frames(2)
    assert torch.allclose(frozen(batch), trained(batch), atol=1e-6)


def test_a_policy_in_double_precision_keeps_its_frozen_encoder(save_image_model: Callable[[str], str]):
    images = build(encoder="vit", pretrained=save_image_model("vit"), frozen=True).double()
    assert images(frames(2)).dtype == torch.float64


def test_freezing_random_weights_is_refused():
    with pytest.raises(ValueError, match=r"images.frozen=True would freeze a vit with random weights"):
        ImageConfig(encoder="vit", frozen=True)


def test_results_name_the_weights(save_image_model: Callable[[str], str]):
    folder = save_image_model("mae")
    assert build().description == "resnet (tiny), random weights, trained"
    assert build(encoder="mae", pretrained=folder).description == f"mae, weights of {folder}, trained"
    assert build(encoder="mae", pretrained=folder, frozen=True).description == f"mae, weights of {folder}, frozen"

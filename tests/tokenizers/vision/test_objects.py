from dataclasses import replace

import pytest
import torch

from astra.objects import Objects, ObjectSpec
from astra.tokenizers.vision.crop_encoders import SmallCropEncoder, ViTCropEncoder, distinct_rows
from astra.tokenizers.vision.objects import ObjectConfig, ObjectTokenizer

WIDTH = 8
SPEC = ObjectSpec(views={"top": (128, 256), "front": (64, 96)}, max_objects=4)


@pytest.fixture
def tokenizer() -> ObjectTokenizer:
    return ObjectConfig().build(SPEC, WIDTH)


@pytest.fixture
def views() -> dict[str, Objects]:
    return {
        view: Objects(
            crops=torch.randint(256, (2, 3, 4, 32, 32, 3), dtype=torch.uint8),
            boxes=60 * torch.rand(2, 3, 4, 4),
            valid=torch.rand(2, 3, 4) < 0.6,
        )
        for view in SPEC.views
    }


def test_the_vit_has_the_size_of_vima_s():
    with torch.device("meta"):
        encoder = ViTCropEncoder()
    assert sum(parameter.numel() for parameter in encoder.parameters()) == 29_538_816


def test_the_size_of_the_small_encoder_stands_in_its_docstring():
    assert sum(parameter.numel() for parameter in SmallCropEncoder().parameters()) == 108_384


@pytest.mark.parametrize("encoder", [ViTCropEncoder, SmallCropEncoder])
def test_crops_are_read_as_normalized_colors(encoder: type[ViTCropEncoder] | type[SmallCropEncoder]):
    mean, std = torch.tensor([0.3471, 0.3429, 0.3383]), torch.tensor([0.3011, 0.2961, 0.2956])
    crops = torch.randint(256, (3, 32, 32, 3), dtype=torch.uint8)
    network = encoder().eval()
    if isinstance(network, ViTCropEncoder):
        pixels = ((crops / 255 - mean) / std).permute(0, 3, 1, 2)
        expected = network.model(pixel_values=pixels).image_embeds
    else:
        first = network.stages[0]
        assert isinstance(first, torch.nn.Linear)
        corner = ((crops[:, :4, :4] / 255 - mean) / std).flatten(1)
        seen = []
        network.stages[1].register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
        network(crops)
        torch.testing.assert_close(seen[0][:, 0, 0, :32], torch.relu(first(corner)), rtol=0, atol=1e-4)
        return
    torch.testing.assert_close(network(crops), expected)


def test_one_token_per_view_and_object_and_zeros_where_one_is_hidden(
    tokenizer: ObjectTokenizer, views: dict[str, Objects]
):
    tokens, valid = tokenizer(views)
    assert tokens.shape == (2, 3, 8, WIDTH)
    assert torch.equal(valid, torch.cat([views["top"].valid, views["front"].valid], dim=-1))
    assert not tokens[~valid].any()
    assert (tokens[valid].abs().sum(-1) > 0).all()


def test_the_order_and_the_contents_of_hidden_objects_change_nothing(
    tokenizer: ObjectTokenizer, views: dict[str, Objects]
):
    tokens, _ = tokenizer(views)
    top = views["top"]
    for b in range(2):
        for t in range(3):
            hidden = (~top.valid[b, t]).nonzero()[:, 0]
            order = hidden[torch.randperm(len(hidden))]
            top.crops[b, t, hidden] = top.crops[b, t, order]
            top.boxes[b, t, hidden] = torch.nan
    assert torch.equal(tokenizer({**views, "top": top})[0], tokens)


def test_equal_crops_are_encoded_once_and_get_what_they_get_alone(
    tokenizer: ObjectTokenizer, views: dict[str, Objects]
):
    crops = views["top"].crops[0, 0, [0, 1, 0, 2, 1]]
    places, of = distinct_rows(crops)
    assert sorted(of.tolist()) == [0, 0, 1, 1, 2]
    assert torch.equal(crops[places[of]], crops)
    sizes = []
    tokenizer.encoder.register_forward_hook(lambda _, inputs, __: sizes.append(len(inputs[0])))
    features = tokenizer.encode(crops)
    assert sizes == [3]
    for crop, feature in zip(crops, features, strict=True):
        torch.testing.assert_close(tokenizer.encode(crop[None])[0], feature, rtol=0, atol=1e-5)


def test_rows_whose_codes_agree_by_chance_stay_distinct(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch, "randint", lambda *_, **__: torch.zeros(384, dtype=torch.int64))
    rows = torch.stack([torch.arange(3072), torch.arange(3072).roll(8)]).to(torch.uint8)  # sums are equal
    places, of = distinct_rows(rows)
    assert of.tolist() == [0, 1]
    assert places.tolist() == [0, 1]


def test_a_view_without_any_visible_object_is_read(tokenizer: ObjectTokenizer, views: dict[str, Objects]):
    blind = {name: replace(view, valid=torch.zeros_like(view.valid)) for name, view in views.items()}
    tokens, valid = tokenizer(blind)
    assert not valid.any()
    assert not tokens.any()


def test_bad_objects_are_reported(tokenizer: ObjectTokenizer, views: dict[str, Objects]):
    with pytest.raises(
        ValueError, match=r"objects of the view 'front' are missing: the policy expects top, front, got"
    ):
        tokenizer({"top": views["top"]})
    with pytest.raises(ValueError, match="got 4 objects per view, but the policy was built for at most 3"):
        tokenizer(views, max_objects=3)
    with pytest.raises(ValueError, match="objects need a view and room for one object"):
        ObjectSpec(views={}, max_objects=1)

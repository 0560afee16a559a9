from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from astra.tokenizers.vision.encoders import MAEEncoder, ResNetEncoder, ViTEncoder

PIXELS = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(2))


def make(kind: str, pretrained: str | None = None) -> nn.Module:
    match kind:
        case "resnet":
            return ResNetEncoder("tiny", pretrained)
        case "vit":
            return ViTEncoder("tiny", pretrained, image_size=32)
        case _:
            return MAEEncoder("tiny", pretrained, image_size=32)


def modes(encoder: nn.Module, kind: type[nn.Module]) -> set[bool]:
    return {module.training for module in encoder.modules() if isinstance(module, kind)}


def test_a_resnet_of_random_weights_has_no_batch_normalization():
    encoder = ResNetEncoder("tiny", None).train()
    assert modes(encoder, nn.BatchNorm2d) == set()
    assert modes(encoder, nn.GroupNorm) == {True}


def test_a_pretrained_resnet_keeps_its_statistics_while_it_is_trained(save_image_model: Callable[[str], str]):
    encoder = make("resnet", save_image_model("resnet")).train()
    assert modes(encoder, nn.BatchNorm2d) == {False}
    assert modes(encoder, nn.Conv2d) == {True}
    before = {name: value.clone() for name, value in encoder.named_buffers()}
    encoder(PIXELS)
    assert all(torch.equal(value, before[name]) for name, value in encoder.named_buffers())


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("pretrained", [False, True])
@pytest.mark.parametrize("kind", ["resnet", "vit", "mae"])
def test_a_picture_does_not_depend_on_the_rest_of_the_batch(
    kind: str, pretrained: bool, training: bool, save_image_model: Callable[[str], str]
):
    encoder = make(kind, save_image_model(kind) if pretrained else None).train(training)
    together = encoder(PIXELS)
    alone = torch.cat([encoder(picture) for picture in PIXELS.split(1)])
    assert torch.allclose(together, alone, atol=1e-5)
    assert not torch.allclose(together[0], together[1], atol=1e-3)


def test_mae_keeps_the_order_of_the_patches():
    encoder = MAEEncoder("tiny", None, image_size=32)
    outputs = []
    encoder.model.register_forward_hook(lambda _module, _inputs, output: outputs.append(output))
    encoder(PIXELS)
    assert outputs[0].ids_restore.tolist() == [[0, 1, 2, 3]] * 3
    assert outputs[0].last_hidden_state.shape == (3, 1 + 4, 64)


@pytest.mark.parametrize("kind", ["resnet", "vit", "mae"])
def test_pretrained_weights_are_loaded(kind: str, save_image_model: Callable[[str], str]):
    import transformers as hf

    model_class = {"resnet": hf.ResNetModel, "vit": hf.ViTModel, "mae": hf.ViTMAEModel}[kind]
    folder = save_image_model(kind)
    weights = dict(model_class.from_pretrained(folder).named_parameters())
    loaded = dict(make(kind, folder).named_parameters(prefix="")).items()
    assert loaded
    assert all(torch.equal(value, weights[name.removeprefix("model.")]) for name, value in loaded)


@pytest.mark.parametrize("kind", ["vit", "mae"])
def test_pictures_of_another_size_than_the_pretrained_are_refused(kind: str, save_image_model: Callable[[str], str]):
    encoder = {"vit": ViTEncoder, "mae": MAEEncoder}[kind]
    with pytest.raises(ValueError, match=r"expects images of 32 x 32 pixels, got images.image_size=96: set it to 32"):
        encoder("tiny", save_image_model(kind), image_size=96)


@pytest.mark.parametrize(("kind", "other"), [("resnet", "vit"), ("vit", "mae"), ("mae", "resnet")])
def test_weights_of_another_network_are_refused(kind: str, other: str, save_image_model: Callable[[str], str]):
    with pytest.raises(ValueError, match=r"is a model of type '\w+', expected \w+"):
        make(kind, save_image_model(other))


def test_missing_weights_are_refused_and_never_left_random(save_image_model: Callable[[str], str]):
    folder = save_image_model("vit")
    weights = load_file(f"{folder}/model.safetensors")
    lost = next(name for name in weights if "layernorm_after.weight" in name)
    del weights[lost]
    save_file(weights, f"{folder}/model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"lacks 1 weights of a ViTModel, such as '.*layernorm_after"):
        make("vit", folder)


def test_a_missing_folder_is_reported(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"pretrained model .* not found"):
        make("vit", str(tmp_path / "nowhere"))

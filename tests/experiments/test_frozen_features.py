import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch


@pytest.fixture
def encoder(tmp_path: Path) -> str:
    """Write a tiny ViT with random weights in the format of a pretrained one."""
    from transformers import ViTConfig, ViTModel

    config = ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, image_size=32, patch_size=8
    )
    ViTModel(config, add_pooling_layer=False).save_pretrained(tmp_path / "vit")
    return str(tmp_path / "vit")


@pytest.fixture
def demonstrations(tmp_path: Path) -> Path:
    """Write three episodes of random frames."""
    from astra.datasets import DatasetWriter, Episode

    random = np.random.default_rng(0)
    with DatasetWriter(tmp_path / "data", fps=5.0) as writer:
        for _ in range(3):
            columns = {
                "observation.image": random.integers(0, 256, (6, 24, 40, 3), dtype=np.uint8),
                "action": random.standard_normal((6, 2), dtype=np.float32),
            }
            writer.add(Episode(instruction="go", columns=columns, fps=5.0))
    return tmp_path / "data"


def test_a_run_on_cached_features_is_the_run_on_frames(
    encoder: str, demonstrations: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from astra.experiments import training_data
    from astra.experiments.experiment import Experiment
    from astra.experiments.run_training import run_training
    from astra.policies.astra import AstraConfig
    from astra.tokenizers.states import StateConfig
    from astra.tokenizers.vision.images import ImageConfig
    from astra.training.config import TrainingConfig

    images = ImageConfig(encoder="vit", image_size=32, pretrained=encoder, frozen=True)
    made = Experiment(
        dataset=demonstrations,
        policy=AstraConfig(layers=1, heads=2, width=16, states=StateConfig(images=images)),
        training=TrainingConfig(
            updates=3, batch_size=4, timesteps=3, log_every=1, checkpoint_every=3, ema_max_decay=0, precision="float32"
        ),
    )

    def losses(folder: Path) -> list[float]:
        run_training(made, folder)
        lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        return [line[name] for line in lines for name in ("train/loss", "validation/loss") if name in line]

    monkeypatch.setenv("ASTRA_CACHE", str(tmp_path / "cache"))
    cached = losses(tmp_path / "cached")
    (file,) = (tmp_path / "cache").rglob("observation.image.*.npy")
    assert np.load(file).shape == (18, 16)
    monkeypatch.setattr(training_data, "frozen_features", lambda dataset, config: {})
    assert cached == pytest.approx(losses(tmp_path / "frames"), rel=1e-5)
    assert len(set(cached)) == 4


def test_another_encoder_and_another_size_of_pictures_have_other_features(encoder: str, tmp_path: Path) -> None:
    from transformers import ViTModel

    from astra.tokenizers.vision.images import ImageConfig, ImageTokenizer

    def fingerprint(config: ImageConfig) -> str:
        return ImageTokenizer(config, ("observation.image",), width=4).fingerprint

    config = ImageConfig(encoder="vit", image_size=32, pretrained=encoder, frozen=True)
    assert fingerprint(config) == fingerprint(config)
    model = ViTModel.from_pretrained(encoder, add_pooling_layer=False)
    with torch.no_grad():
        model.layernorm.bias[0] += 1e-3
    model.save_pretrained(tmp_path / "changed")
    assert fingerprint(replace(config, pretrained=str(tmp_path / "changed"))) != fingerprint(config)
    resnet = ImageConfig(encoder="resnet", image_size=32)
    torch.manual_seed(0)
    first = fingerprint(resnet)
    torch.manual_seed(0)
    assert fingerprint(replace(resnet, image_size=48)) != first


def test_trained_encoders_and_data_without_cameras_have_no_features(demonstrations: Path) -> None:
    from astra.datasets import LeRobotDataset
    from astra.experiments.frozen_features import frozen_features
    from astra.tokenizers.vision.images import ImageConfig

    assert frozen_features(LeRobotDataset.open(demonstrations), ImageConfig()) == {}

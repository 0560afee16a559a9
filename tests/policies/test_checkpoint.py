import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from astra.attention import masks
from astra.attention.segments import Kind, TokenIds
from astra.policies.astra import Astra, AstraConfig
from astra.policies.checkpoint import load_policy, save_policy
from astra.storage.json_checksum import checked_json
from astra.tokenizers.actions import ContinuousActionsConfig, DiscreteActionsConfig
from astra.training.run_folder import RunFolder
from astra.trajectory import Statistics, Trajectory, TrajectorySpec

CONFIGS = [
    AstraConfig(layers=1, heads=2, width=8),
    AstraConfig(layers=2, heads=1, width=8, window=2, actions=ContinuousActionsConfig()),
]


@pytest.fixture
def astra(tiny_spec: TrajectorySpec, tiny_statistics: Statistics) -> Astra:
    return CONFIGS[0].build(tiny_spec, tiny_statistics).eval()


@pytest.mark.parametrize("config", CONFIGS)
def test_a_policy_comes_back_equal(
    config: AstraConfig,
    tiny_spec: TrajectorySpec,
    tiny_statistics: Statistics,
    tiny_trajectory: Trajectory,
    tmp_path: Path,
) -> None:
    policy = config.build(replace(tiny_spec, fps=7.0), tiny_statistics).eval()
    save_policy(policy, tmp_path / "policy")
    loaded = load_policy(tmp_path / "policy")
    assert (loaded.config, loaded.spec) == (policy.config, policy.spec)
    for name, weight in policy.state_dict().items():
        assert torch.equal(weight, loaded.state_dict()[name]), name
    assert torch.equal(loaded.statistics.actions.std, policy.statistics.actions.std)
    for column, vector in policy.statistics.states.items():
        assert torch.equal(loaded.statistics.states[column].mean, vector.mean)
    for column, vector in policy.statistics.relative_actions.items():
        assert torch.equal(loaded.statistics.relative_actions[column].max, vector.max)
    assert torch.equal(loaded.loss(tiny_trajectory).behavior_cloning, policy.loss(tiny_trajectory).behavior_cloning)
    assert not loaded.training


@pytest.mark.parametrize("place", ["policy", "checkpoints/last/policy"])
def test_a_policy_is_found_from_its_checkpoint_and_its_run(astra: Astra, tmp_path: Path, place: str) -> None:
    save_policy(astra, tmp_path / place)
    assert load_policy(tmp_path).config == astra.config


def test_another_attention_rule_is_noticed(astra: Astra, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunFolder(tmp_path / "run", keep=1)
    run.prepare({}, {})
    with run.new_checkpoint(1) as folder:
        save_policy(astra, folder / "policy")
    papers_rule = masks.may_attend
    with monkeypatch.context() as patched:
        options = {"causal_segments": masks.ALL_SEGMENTS}
        patched.setattr(masks, "may_attend", lambda *ids, **given: papers_rule(*ids, **given | options))
        with pytest.warns(UserWarning, match="trained under another attention rule"):
            load_policy(run.path)
        with pytest.raises(ValueError, match="trained under another attention rule"):
            run.prepare({}, {})
        save_policy(astra, tmp_path / "changed")
        load_policy(tmp_path / "changed")
    with pytest.warns(UserWarning, match="trained under another attention rule"):
        load_policy(tmp_path / "changed")
    run.prepare({}, {})
    load_policy(run.path)


@pytest.mark.parametrize("kind", [Kind.PROMPT, Kind.STATE, Kind.ACTION])
def test_any_change_to_a_kind_of_segment_changes_the_checksum_of_the_rule(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, papers_rule = masks.rule_checksum(), masks.may_attend

    def changed(rows: TokenIds, columns: TokenIds, **options: Any) -> torch.Tensor:
        hidden = (columns.kind == kind) & (columns.slot == 1)
        return papers_rule(rows, columns, **options) & ~hidden[..., None, :]

    monkeypatch.setattr(masks, "may_attend", changed)
    assert masks.rule_checksum() != before


def test_only_known_files_are_written(astra: Astra, tmp_path: Path) -> None:
    save_policy(astra, tmp_path / "policy")
    names = sorted(path.name for path in tmp_path.rglob("*"))
    assert names == ["config.json", "model.safetensors", "policy", "statistics.safetensors"]


def test_an_existing_folder_is_not_overwritten(astra: Astra, tmp_path: Path) -> None:
    with pytest.raises(FileExistsError, match="exists already"):
        save_policy(astra, tmp_path)


def test_weights_that_are_no_numbers_are_not_written(astra: Astra, tmp_path: Path) -> None:
    assert astra.queries is not None
    with torch.no_grad():
        astra.queries[0, 0] = torch.nan
    with pytest.raises(ValueError, match="NaN or infinite values in queries"):
        save_policy(astra, tmp_path / "policy")
    assert list(tmp_path.iterdir()) == []


def change_config(folder: Path, **values: object) -> None:
    path = folder / "config.json"
    path.write_text(checked_json(json.loads(path.read_text()) | values))


def change_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors")
    change_config(folder, checksums={})  # as if an older version had written it


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def drop_statistics(folder: Path) -> None:
    statistics = load_file(folder / "statistics.safetensors")
    del statistics["actions.std"]
    save_file(statistics, folder / "statistics.safetensors")
    change_config(folder, checksums={})


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (lambda f: (f / "config.json").unlink(), FileNotFoundError, "lacks config.json"),
        (lambda f: (f / "statistics.safetensors").unlink(), FileNotFoundError, "lacks statistics.safetensors"),
        (lambda f: (f / "config.json").write_text("{"), ValueError, "is not valid JSON of a policy"),
        (lambda f: change_config(f, policy="gato9"), ValueError, "there is no policy 'gato9'; known are astra"),
        (
            lambda f: change_config(f, format=99),
            ValueError,
            r"has format 99, but Astra .* reads format 2: update Astra",
        ),
        (lambda f: change_config(f, config={"kind": "B"}), ValueError, "expected an object with kind 'AstraConfig'"),
        (lambda f: truncate(f / "model.safetensors"), ValueError, r"model.safetensors is damaged or cut short"),
        (lambda f: truncate(f / "statistics.safetensors"), ValueError, r"statistics.safetensors is damaged"),
        (lambda f: change_config(f, checksums=[]), ValueError, r"has the checksums \[\], expected one for each file"),
        (drop_statistics, ValueError, "lacks 'actions.std'"),
        (lambda f: change_weights(f, lambda w: w.pop("queries")), ValueError, "queries is missing"),
        (lambda f: change_weights(f, lambda w: w.update(x=torch.ones(1))), ValueError, "x is not expected"),
        (
            lambda f: change_weights(f, lambda w: w.update(queries=torch.ones(2, 3))),
            ValueError,
            r"queries has shape \(2, 3\) instead of \(5, 8\)",
        ),
        (
            lambda f: change_weights(f, lambda w: w["queries"].fill_(torch.inf)),
            ValueError,
            "NaN or infinite values in queries",
        ),
    ],
)
def test_damaged_files_are_refused(
    astra: Astra, tmp_path: Path, damage: Callable[[Path], object], error: type[Exception], message: str
) -> None:
    save_policy(astra, tmp_path / "policy")
    damage(tmp_path / "policy")
    with pytest.raises(error, match=message):
        load_policy(tmp_path / "policy")


def test_a_policy_from_before_the_renaming_is_refused(astra: Astra, tmp_path: Path) -> None:
    save_policy(astra, tmp_path / "policy")
    change_config(
        tmp_path / "policy", format=1, code_version="0.1.0 (abc)", config={"kind": "AstraConfig", "horizon": 1}
    )
    with pytest.raises(
        ValueError, match=r"format 1, but .*Train the policy again, or use .* wrote it \(0.1.0 \(abc\)\)"
    ):
        load_policy(tmp_path / "policy")


def test_weights_of_another_architecture_are_refused(
    astra: Astra, tiny_spec: TrajectorySpec, tiny_statistics: Statistics, tmp_path: Path
) -> None:
    save_policy(astra, tmp_path / "one")
    save_policy(CONFIGS[1].build(tiny_spec, tiny_statistics), tmp_path / "other")
    (tmp_path / "one" / "model.safetensors").replace(tmp_path / "other" / "model.safetensors")
    change_config(tmp_path / "other", checksums={})
    with pytest.raises(ValueError, match=r"do not fit the Astra .*and \d+ more; they belong to another architecture"):
        load_policy(tmp_path / "other")


def test_a_folder_without_policy_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"holds no policy: expected config.json, model.safetensors"):
        load_policy(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"nowhere holds no policy: it does not exist$"):
        load_policy(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(layers=10**6), r"policy.layers must be at least 1 and at most 1,000, got 1000000"),
        (dict(width=10**9), r"policy.width must be at least 1 and at most 100,000, got 1000000000"),
        (dict(width=30_000), "needs far more numbers than the file holds"),
        (dict(width=-8), "config.json describes a policy that cannot be built|must be|at least"),
        (dict(heads=0), "config.json describes a policy that cannot be built|must be|at least"),
        (dict(width=10**400), "policy.width must be at least 1"),
        (dict(dropout=float("nan")), "config.dropout: expected float, got nan"),
        (
            dict(language={"kind": "LanguageConfig", "max_tokens": 0}),
            "language.max_tokens must be at least 1 and at most 10,000, got 0",
        ),
    ],
)
def test_a_configuration_that_cannot_belong_to_the_weights_is_refused(
    astra: Astra, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    save_policy(astra, tmp_path / "policy")
    config = json.loads((tmp_path / "policy/config.json").read_text())["config"]
    change_config(tmp_path / "policy", config=config | changes)
    with pytest.raises(ValueError, match=message):
        load_policy(tmp_path / "policy")


def test_an_edited_description_is_refused_with_a_way_to_accept_it(astra: Astra, tmp_path: Path) -> None:
    save_policy(astra, tmp_path / "policy")
    path = tmp_path / "policy/config.json"
    description = json.loads(path.read_text())
    description["config"]["decoding"]["temperature"] = 0.25
    path.write_text(json.dumps(description))
    with pytest.raises(ValueError, match=r"was changed after Astra wrote it.*remove its entry"):
        load_policy(tmp_path / "policy")
    del description["sha256"]
    path.write_text(json.dumps(description))
    assert load_policy(tmp_path / "policy").decoding.temperature == 0.25


@pytest.mark.parametrize("text", ["[" * 100_000, "[]", "1" * 5000, "null", '"text"', "\x00"])
def test_a_description_that_is_no_object_is_refused(astra: Astra, tmp_path: Path, text: str) -> None:
    save_policy(astra, tmp_path / "policy")
    (tmp_path / "policy/config.json").write_text(text)
    with pytest.raises(ValueError, match="is not valid JSON of a policy"):
        load_policy(tmp_path / "policy")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "statistics.safetensors"])
def test_a_file_of_another_checkpoint_of_the_same_policy_is_refused(
    astra: Astra, tiny_spec: TrajectorySpec, tiny_statistics: Statistics, tmp_path: Path, name: str
) -> None:
    save_policy(astra, tmp_path / "one")
    with torch.no_grad():
        next(astra.parameters()).add_(1)
    shifted = {column: replace(vector, mean=vector.mean + 1) for column, vector in tiny_statistics.states.items()}
    other = astra.config.build(tiny_spec, replace(tiny_statistics, states=shifted))
    save_policy(other, tmp_path / "other")
    (tmp_path / "other" / name).replace(tmp_path / "one" / name)
    with pytest.raises(ValueError, match=r"belongs to another checkpoint: .*Copy the whole checkpoint"):
        load_policy(tmp_path / "one")


@pytest.mark.parametrize("name", ["model.safetensors", "statistics.safetensors"])
def test_no_flipped_bit_passes(astra: Astra, tmp_path: Path, name: str) -> None:
    save_policy(astra, tmp_path / "policy")
    path = tmp_path / "policy" / name
    right, loaded = path.read_bytes(), load_file(path)
    generator = torch.Generator().manual_seed(0)
    for place in torch.randint(8 * len(right), (60,), generator=generator).tolist():
        wrong = bytearray(right)
        wrong[place // 8] ^= 1 << place % 8
        path.write_bytes(wrong)
        try:
            load_policy(tmp_path / "policy")
        except ValueError:
            continue
        found = load_file(path)  # a bit that changes nothing, such as one in a space of the header
        assert found.keys() == loaded.keys()
        assert all(torch.equal(found[key], loaded[key]) for key in loaded)


def test_weights_of_another_type_are_refused(astra: Astra, tmp_path: Path) -> None:
    save_policy(astra, tmp_path / "policy")
    change_weights(tmp_path / "policy", lambda w: w.update(queries=w["queries"].int()))
    with pytest.raises(ValueError, match=r"queries has numbers of type torch.int32 instead of torch.float32"):
        load_policy(tmp_path / "policy")


def test_files_have_normal_permissions(astra: Astra, tmp_path: Path) -> None:
    save_policy(astra, tmp_path / "policy")
    (tmp_path / "plain").touch()
    for path in (tmp_path / "policy").iterdir():
        assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode, path


def test_a_model_of_the_hub_is_not_downloaded_and_its_code_does_not_run(
    astra: Astra, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    transformers = pytest.importorskip("transformers")
    asked: list[dict[str, object]] = []

    def from_pretrained(name: str, **options: object) -> None:
        asked.append({"name": name, **options})
        raise OSError

    monkeypatch.setattr(transformers.AutoConfig, "from_pretrained", from_pretrained)
    save_policy(astra, tmp_path / "policy")
    config = json.loads((tmp_path / "policy/config.json").read_text())["config"]
    config["language"] |= {"pretrained": "someone/model"}
    change_config(tmp_path / "policy", config=config)
    with pytest.raises(FileNotFoundError, match=r"'someone/model' not found: .*nor a model in the cache of"):
        load_policy(tmp_path / "policy")
    with pytest.raises(FileNotFoundError, match="nor a model that can be reached on"):
        load_policy(tmp_path / "policy", allow_downloads=True)
    expected = {"name": "someone/model", "trust_remote_code": False}
    assert asked == [expected | {"local_files_only": True}, expected | {"local_files_only": False}]


def test_code_that_a_folder_of_a_model_brings_does_not_run(astra: Astra, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    model, ran = tmp_path / "model", tmp_path / "ran"
    model.mkdir()
    (model / "own.py").write_text(f"open({str(ran)!r}, 'w')\nfrom transformers import T5Config as Own\n")
    (model / "config.json").write_text(json.dumps({"model_type": "own", "auto_map": {"AutoConfig": "own.Own"}}))
    save_policy(astra, tmp_path / "policy")
    config = json.loads((tmp_path / "policy/config.json").read_text())["config"]
    config["language"] |= {"pretrained": str(model)}
    change_config(tmp_path / "policy", config=config)
    with pytest.raises(ValueError, match="needs code of its own, which Astra never runs: choose a model"):
        load_policy(tmp_path / "policy")
    assert not ran.exists()


def test_quantiles_come_back_and_may_be_absent(
    tiny_spec: TrajectorySpec, tiny_statistics: Statistics, tmp_path: Path
) -> None:
    actions = tiny_statistics.actions
    known = replace(actions, low_quantile=actions.min + 0.1, high_quantile=actions.max - 0.1)
    policy = AstraConfig(layers=1, heads=1, width=8, actions=DiscreteActionsConfig(range="quantiles")).build(
        tiny_spec, replace(tiny_statistics, actions=known)
    )
    save_policy(policy, tmp_path / "policy")
    loaded = load_policy(tmp_path / "policy")
    assert torch.equal(loaded.get_submodule("actions").get_buffer("low"), policy.actions.get_buffer("low"))
    assert loaded.statistics.states["observation.state"].low_quantile is None

import importlib.metadata
import json
import shutil
import tarfile
import zipfile
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from astra.datasets import read_diffusion_policy_zarr
from astra.datasets.importers.recognition import recognize_format

zarr = pytest.importorskip("zarr")
ENDS = np.array([5, 6, 17])
COLUMNS = {
    "action": "action",
    "state": "observation.state",
    "keypoint": "observation.keypoints",
    "img": "observation.image",
}


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    return {
        "state": generator.standard_normal((17, 5)),
        "action": generator.standard_normal((17, 2)).astype(np.float32),
        "keypoint": generator.standard_normal((17, 9, 2)).astype(np.float32),
        "img": generator.integers(0, 256, (17, 4, 6, 3)).astype(np.float32),
    }


def write_store(path: Path, arrays: dict[str, np.ndarray], version: Literal[2, 3], **options: Any) -> Path:
    """Write a replay buffer in zarr chunks of 4 timesteps."""
    root = zarr.open_group(path, mode="w", zarr_format=version)
    for name, values in arrays.items():
        root.create_array(f"data/{name}", data=values, chunks=(4, *values.shape[1:]), **options)
    root.create_array("meta/episode_ends", data=ENDS)
    return path


@pytest.fixture
def store(tmp_path: Path, arrays: dict[str, np.ndarray]) -> Path:
    return write_store(tmp_path / "buffer.zarr", arrays, 2)


def pack(store: Path, kind: str) -> Path:
    """Pack a store: as .tar below a folder, as .zip with its arrays at the top, as zarr's own zip stores are."""
    if kind == "zip":
        return Path(shutil.make_archive(str(store), "zip", store))
    with tarfile.open(store.with_suffix(".tar"), "w") as tar:
        tar.add(store, arcname="deep/buffer.zarr")
    return store.with_suffix(".tar")


@pytest.mark.parametrize(("version", "packed"), [(2, ""), (2, "tar"), (2, "zip"), (3, ""), (3, "tar"), (3, "zip")])
def test_a_replay_buffer_is_read(
    tmp_path: Path, arrays: dict[str, np.ndarray], version: Literal[2, 3], packed: str
) -> None:
    store = write_store(tmp_path / "buffer.zarr", arrays, version)
    store = pack(store, packed) if packed else store
    episodes = list(read_diffusion_policy_zarr(store, instruction="push", fps=10.0, columns=COLUMNS))
    assert [len(episode) for episode in episodes] == [5, 1, 11]
    assert {(episode.instruction, episode.fps) for episode in episodes} == {("push", 10)}
    for start, end, episode in zip([0, *ENDS[:-1]], ENDS, episodes, strict=True):
        columns = episode.columns
        assert np.array_equal(columns["action"], arrays["action"][start:end])
        assert np.array_equal(columns["observation.state"], arrays["state"][start:end].astype(np.float32))
        assert np.array_equal(columns["observation.keypoints"], arrays["keypoint"][start:end].reshape(-1, 18))
        assert np.array_equal(columns["observation.image"], arrays["img"][start:end])
        assert columns["observation.image"].dtype == np.uint8


def read(store: Path, columns: dict[str, str] = COLUMNS) -> None:
    list(read_diffusion_policy_zarr(store, instruction="push", columns=columns))


def test_a_store_that_is_not_there_or_not_whole_is_reported(store: Path) -> None:
    with pytest.raises(FileNotFoundError, match="does not exist"):
        read(store / "nowhere")
    with pytest.raises(ValueError, match="no array 'data/reward'"):
        read(store, columns={"reward": "observation.reward", **COLUMNS})
    (store / "data/state/2.0").unlink()
    with pytest.raises(ValueError, match="'data/state' has 4 of 5 zarr chunks"):
        read(store)


def test_a_damaged_chunk_is_reported(store: Path) -> None:
    chunk = store / "data/action/1.0"
    chunk.write_bytes(chunk.read_bytes()[:9])
    with pytest.raises(ValueError, match=r"array 'action', episode 0: a zarr chunk is damaged"):
        read(store)


@pytest.mark.parametrize(
    ("entry", "value", "message"),
    [
        ("filters", [{"id": "vlen-utf8"}], "uses the codec 'vlen-utf8', expected one of blosc"),
        ("filters", [{"id": "delta"}, {"id": "pickle"}], "uses the codec 'pickle'"),
        ("filters", [{}], "cannot be used"),
        ("compressor", {"id": "json2"}, "uses the codec 'json2'"),
        ("dtype", "|O", r"has the dtype '\|O', expected plain numbers"),
        ("dtype", [["x", "<f4"]], "expected plain numbers"),
        ("shape", None, "has the shape None"),
        ("shape", [-1, 5], "has the shape"),
        ("chunks", [0, 5], "has the chunks"),
        ("chunks", [2**40, 5], "at most 1,073,741,824 bytes"),
        ("zarr_format", 7, "cannot be used"),
    ],
)
def test_only_numbers_and_known_codecs_are_read(store: Path, entry: str, value: object, message: str) -> None:
    path = store / "data/state/.zarray"
    path.write_text(json.dumps({**json.loads(path.read_text()), entry: value}))
    with pytest.raises(ValueError, match=message):
        read(store)


@pytest.mark.parametrize("codec", ["zlib", "gzip", "bz2", "lzma", "zstd", "lz4", "blosc", None])
def test_a_chunk_that_unpacks_to_more_than_its_array_needs_is_refused_before_it_is_unpacked(
    store: Path, codec: str | None
) -> None:
    import numcodecs

    path = store / "data/state"
    compressor = None if codec is None else numcodecs.get_codec({"id": codec})
    header = json.loads((path / ".zarray").read_text())
    right = np.ones((4, 5), header["dtype"])
    (path / ".zarray").write_text(
        json.dumps({**header, "filters": None, "compressor": compressor and compressor.get_config()})
    )
    for chunk in sorted(path.glob("[0-9]*")):
        chunk.write_bytes(right.tobytes() if compressor is None else bytes(compressor.encode(right) or b""))
    read(store)
    large = np.zeros(5 * 2**20, np.uint8)
    (path / "0.0").write_bytes(large.tobytes() if compressor is None else bytes(compressor.encode(large) or b""))
    with pytest.raises(ValueError, match=r"unpacks to more than 1,280 bytes, but its array needs 160"):
        read(store)


def test_versions_of_numcodecs_that_run_code_of_a_store_are_not_installed(repository: Path) -> None:
    from packaging.version import Version

    assert "numcodecs>=0.16.6" in (repository / "pyproject.toml").read_text()
    assert Version(importlib.metadata.version("numcodecs")) >= Version("0.16.6")


def test_a_link_to_itself_is_no_archive(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "store.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("store/.zgroup"))
        link = tarfile.TarInfo("store/data/state/.zarray")
        link.type, link.linkname = tarfile.LNKTYPE, link.name
        tar.addfile(link)
    with pytest.raises(ValueError, match=r"not a valid .tar file"):
        read(tmp_path / "store.tar")


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_a_truncated_archive_is_reported(store: Path, kind: str) -> None:
    archive = pack(store, kind)
    archive.write_bytes(archive.read_bytes()[:5000])
    with pytest.raises(ValueError, match="copy"):
        read(archive)


def test_a_zip_file_that_unpacks_to_far_more_than_it_is_or_leads_outside_is_refused(store: Path) -> None:
    archive = pack(store, "zip")
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("data/state/9.9", b"0" * 2**27)
    with pytest.raises(ValueError, match="unpacks to"):
        read(archive)
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("../elsewhere/.zgroup", "{}")
    with pytest.raises(ValueError, match="holds no zarr store"):
        read(archive)


@pytest.mark.parametrize("codec", ["blosc", "gzip", "zstd", None])
def test_chunks_of_version_3_are_read_and_refused_before_they_unpack_to_too_much(
    tmp_path: Path, arrays: dict[str, np.ndarray], codec: str | None
) -> None:
    made = {"blosc": zarr.codecs.BloscCodec, "gzip": zarr.codecs.GzipCodec, "zstd": zarr.codecs.ZstdCodec}
    store = write_store(tmp_path / "new.zarr", arrays, 3, compressors=made[codec]() if codec else None)
    assert recognize_format(store) is not None
    episodes = list(read_diffusion_policy_zarr(store, instruction="push", columns=COLUMNS))
    assert np.array_equal(np.concatenate([episode.columns["action"] for episode in episodes]), arrays["action"])
    large = zarr.create_array(
        tmp_path / "large",
        data=np.zeros(5 * 2**20, np.uint8),
        chunks=(5 * 2**20,),
        compressors=made[codec]() if codec else None,
        config={"write_empty_chunks": True},
        zarr_format=3,
    )
    shutil.copyfile(Path(str(large.store.root)) / "c/0", store / "data/state/c/0/0")
    with pytest.raises(ValueError, match=r"c/0/0 unpacks to more than 1,280 bytes, but its array needs 160"):
        read(store)


@pytest.mark.parametrize(
    ("entry", "value", "message"),
    [
        ("codecs", [{"name": "sharding_indexed"}], r"is sharded \(codec 'sharding_indexed'\), which is not read"),
        ("codecs", [{"name": "bytes"}, {"name": "numcodecs.lz4"}], "uses the codec 'numcodecs.lz4', expected one of"),
        ("codecs", [{"name": "vlen-utf8"}], "uses the codec 'vlen-utf8'"),
        ("codecs", [{"name": "bytes"}, "zstd", "gzip"], "expected bytes and at most one of"),
        ("codecs", None, r"has the codecs \[\], expected bytes"),
        ("codecs", [{"name": "bytes", "configuration": {"endian": 3}}], "its zarr.json cannot be used"),
        ("data_type", "string", "has the data_type 'string', expected plain numbers"),
        ("data_type", ["float32"], "expected plain numbers"),
        ("chunk_grid", {"name": "rectilinear"}, "has the chunk_grid 'rectilinear'"),
        ("chunk_grid", {"name": "regular"}, "has the chunks None"),
        ("chunk_grid", {"name": "regular", "configuration": {"chunk_shape": [2**40, 5]}}, "at most 1,073,741,824"),
        ("shape", [-1, 5], "has the shape"),
        ("node_type", "group", "does not describe a plain array"),
        ("storage_transformers", [{"name": "x"}], "does not describe a plain array"),
    ],
)
def test_only_numbers_and_known_codecs_of_version_3_are_read(
    tmp_path: Path, arrays: dict[str, np.ndarray], entry: str, value: object, message: str
) -> None:
    store = write_store(tmp_path / "new.zarr", {name: arrays[name] for name in ("state", "action")}, 3)
    path = store / "data/state/zarr.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), entry: value}))
    with pytest.raises(ValueError, match=message):
        read(store, {"state": "observation.state", "action": "action"})


def test_missing_chunks_of_version_3_are_no_zeros(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    arrays["action"][4:8] = 0.0
    with pytest.raises(ValueError, match=r"'data/action' has 4 of 5 zarr chunks.* with config=.'write_empty_chunks'"):
        read(write_store(tmp_path / "new.zarr", arrays, 3))
    read(write_store(tmp_path / "again.zarr", arrays, 3, config={"write_empty_chunks": True}))


def test_pixels_are_whole_numbers(store: Path) -> None:
    zarr.open_array(store / "data/img", mode="r+", zarr_format=2)[0] = 0.5
    with pytest.raises(ValueError, match=r"array 'img', episode 0: pixels are .* expected whole numbers"):
        read(store)


@pytest.mark.parametrize(
    ("store_name", "arrays_name", "episodes"),
    [
        ("pusht_cchi_v7_replay.zarr.tar", "pusht_cchi_v7_lowdim.npz", 206),
        ("pusht_keypoint_x356_y356.zarr.tar", "pusht_x356_y356_lowdim.npz", 151),
    ],
)
def test_the_human_demonstrations_are_read(shared_data: Path, store_name: str, arrays_name: str, episodes: int) -> None:
    store = shared_data / "pusht" / store_name
    columns = {"action": "action", "state": "observation.state"}
    read = list(read_diffusion_policy_zarr(store, instruction="push", columns=columns))
    assert len(read) == episodes
    with np.load(shared_data / "pusht" / arrays_name) as expected:
        assert np.cumsum([len(episode) for episode in read]).tolist() == expected["episode_ends"].tolist()
        for array, column in columns.items():
            assert np.array_equal(np.concatenate([episode.columns[column] for episode in read]), expected[array])

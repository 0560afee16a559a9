"""Write human demonstrations of Push-T as others store them: LeRobotDataset v2.1 with video, and robomimic's HDF5.

python scripts/own_data_sets.py pusht_cchi_v7_replay.zarr.tar data --episodes 40

writes data/pusht-v2.1 and data/pusht-robomimic.hdf5, on which docs/your-robot.md trains. Files are written by PyArrow,
PyAV and h5py by the conventions of the two formats, not by Astra's own writer.
"""

import argparse
import json
from collections.abc import Sequence
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from av.video.stream import VideoStream

from astra.datasets import Episode, read_diffusion_policy_zarr

FPS = 10
INSTRUCTION = "push the T to the center"
CAMERA, STATE, ACTION = "observation.images.top", "observation.state", "action"
BOARD = 512
"""Side of the board in pixels, the unit of states and actions."""


def write_version_2(episodes: Sequence[Episode], folder: Path) -> None:
    """Write a LeRobotDataset v2.1: the position of the agent, one camera as video, and actions."""
    (folder / "meta").mkdir(parents=True)
    first = 0
    for number, episode in enumerate(episodes):
        T = len(episode)
        vectors = {STATE: episode.columns[STATE][:, :2], ACTION: episode.columns[ACTION]}
        columns = {
            name: pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])
            for name, values in vectors.items()
        }
        columns |= {
            "timestamp": pa.array((np.arange(T) / FPS).astype(np.float32)),
            "frame_index": pa.array(np.arange(T)),
            "episode_index": pa.array(np.full(T, number)),
            "index": pa.array(first + np.arange(T)),
            "task_index": pa.array(np.zeros(T, np.int64)),
        }
        path = folder / f"data/chunk-000/episode_{number:06d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns), path)
        write_video(episode.columns[CAMERA], folder / f"videos/chunk-000/{CAMERA}/episode_{number:06d}.mp4")
        first += T
    height, width = episodes[0].columns[CAMERA].shape[1:3]
    index = {"dtype": "int64", "shape": [1], "names": None}
    info = {
        "codebase_version": "v2.1",
        "robot_type": "pusht",
        "total_episodes": len(episodes),
        "total_frames": first,
        "total_tasks": 1,
        "total_videos": len(episodes),
        "total_chunks": 1,
        "chunks_size": 1000,
        "fps": FPS,
        "splits": {"train": f"0:{len(episodes)}"},
        "data_path": "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
        "video_path": "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4",
        "features": {
            STATE: {"dtype": "float32", "shape": [2], "names": ["x", "y"]},
            ACTION: {"dtype": "float32", "shape": [2], "names": ["x", "y"]},
            CAMERA: {"dtype": "video", "shape": [height, width, 3], "names": ["height", "width", "channel"]},
            "timestamp": {"dtype": "float32", "shape": [1], "names": None},
            **dict.fromkeys(("frame_index", "episode_index", "index", "task_index"), index),
        },
    }
    (folder / "meta/info.json").write_text(json.dumps(info, indent=2))
    lines = [{"episode_index": n, "tasks": [INSTRUCTION], "length": len(each)} for n, each in enumerate(episodes)]
    (folder / "meta/episodes.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "meta/tasks.jsonl").write_text(json.dumps({"task_index": 0, "task": INSTRUCTION}) + "\n")


def write_video(frames: np.ndarray, path: Path) -> None:
    """Encode frames as H.264, with a keyframe at every second one as LeRobot does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(FPS), options={"crf": "18"})
        assert isinstance(stream, VideoStream)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        stream.codec_context.gop_size = 2
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), "rgb24")))
        container.mux(stream.encode())


def write_robomimic(episodes: Sequence[Episode], path: Path) -> None:
    """Write robomimic's HDF5: data/demo_N with actions from -1 to 1, observations, and those one timestep later."""
    import h5py

    h5: Any = h5py
    with h5.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs["total"] = sum(map(len, episodes))
        data.attrs["env_args"] = json.dumps({"env_name": "PushT", "type": 2, "env_kwargs": {"control_freq": FPS}})
        for number, episode in enumerate(episodes):
            demo = data.create_group(f"demo_{number}")
            demo.attrs["num_samples"] = len(episode)
            demo["actions"] = (episode.columns[ACTION] / BOARD * 2 - 1).astype(np.float64)
            demo["states"] = episode.columns[STATE]
            demo["dones"] = (np.arange(len(episode)) == len(episode) - 1).astype(np.int64)
            demo["rewards"] = np.zeros(len(episode))
            state = episode.columns[STATE].astype(np.float64)
            angle = state[:, 4:]
            seen = {
                "agentview_image": episode.columns[CAMERA],
                "robot0_eef_pos": state[:, :2] / BOARD * 2 - 1,
                "object": np.concatenate([state[:, 2:4] / BOARD * 2 - 1, np.cos(angle), np.sin(angle)], axis=1),
            }
            for name, values in seen.items():
                demo.create_dataset(f"obs/{name}", data=values, compression="gzip")
                later = np.concatenate([values[1:], values[-1:]])
                demo.create_dataset(f"next_obs/{name}", data=later, compression="gzip")
        names = np.array([f"demo_{number}" for number in range(len(episodes))], "S")
        file["mask/train"], file["mask/valid"] = names[: -len(names) // 10], names[-len(names) // 10 :]


def main() -> None:
    """Write both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path, help="human demonstrations of Push-T, a zarr store or a .tar file of one")
    parser.add_argument("destination", type=Path, help="folder of the two datasets")
    parser.add_argument("--episodes", type=int, default=40, help="number of episodes, the first ones")
    chosen = parser.parse_args()
    columns = {"state": STATE, "action": ACTION, "img": CAMERA}
    read = read_diffusion_policy_zarr(chosen.store, instruction=INSTRUCTION, fps=FPS, columns=columns)
    episodes = list(islice(read, chosen.episodes))
    write_version_2(episodes, chosen.destination / "pusht-v2.1")
    write_robomimic(episodes, chosen.destination / "pusht-robomimic.hdf5")
    print(f"{len(episodes)} episodes, {sum(map(len, episodes))} timesteps: {chosen.destination}")


if __name__ == "__main__":
    main()

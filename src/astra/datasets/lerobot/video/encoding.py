"""Writer of the video files of one camera: H.264 at a constant frame rate, many episodes per file.

Every second frame is a keyframe, as LeRobot recommends for reading frames in random order. Each episode is encoded by
itself, by one thread, so equal frames give equal files, and several processes can encode episodes at the same time.
Colors lose a little: frames that must stay as they are belong into images.
"""

import io
import shutil
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import OutputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream
from jaxtyping import UInt8

from astra.datasets.lerobot import layout
from astra.datasets.lerobot.tables import FILES_PER_CHUNK
from astra.datasets.lerobot.video.column import Stretch

MEGABYTES_PER_FILE = 200
CODEC = "libx264"
OPTIONS = {"preset": "fast", "crf": "19", "bf": "0", "threads": "1", "x264-params": "mbtree=0"}
"""Options of x264. With its trees of macroblocks, 3 of 1,000 videos depend on what lay in memory before."""
KEYFRAME_DISTANCE = 2
_FINEST_RATE = 10**6


class VideoFiles:
    """Writer of `videos/COLUMN/chunk-*/file-*.mp4`: a new file after every 200 MB.

    Args:
        folder: The dataset being written.
        column: Name of the camera's column.
        fps: Frames per second.
    """

    def __init__(self, folder: Path, column: str, fps: float) -> None:
        self._folder = folder
        self._column = column
        self._fps = Fraction(fps).limit_denominator(_FINEST_RATE)
        self._paths: list[Path] = []
        self._copied: dict[Path, int] = {}
        self._open: tuple[OutputContainer, VideoStream] | None = None
        self._frames = 0
        self._size = 0

    @property
    def paths(self) -> tuple[Path, ...]:
        """Files that were begun."""
        return tuple(self._paths)

    def append(self, encoded: bytes, timesteps: int) -> dict[str, Any]:
        """Append an episode and return where it lies, as its row of `meta/episodes` says it.

        Args:
            encoded: The episode as `encode` returns it.
            timesteps: Number of its frames.

        Raises:
            OSError: if the file cannot be written.
        """
        first = self._frames
        try:
            with av.open(io.BytesIO(encoded), "r", format="mp4") as source:
                given = source.streams.video[0]
                container, stream = self._open or self._begin(given)
                assert given.time_base is not None
                later = round(first / self._fps / given.time_base)
                for packet in source.demux(given):
                    if packet.pts is not None and packet.dts is not None:
                        packet.pts, packet.dts = packet.pts + later, packet.dts + later
                        packet.stream = stream
                        self._size += packet.size
                        container.mux(packet)
        except FFmpegError as error:
            raise OSError(error.errno, f"{self._paths[-1]} cannot be written: {error.strerror}") from error
        self._frames += timesteps
        place = len(self._paths) - 1
        if self._size >= MEGABYTES_PER_FILE * 2**20:
            self.close()
        return self._place(place, float(first / self._fps), float(self._frames / self._fps))

    def copy(self, stretch: Stretch, timesteps: int) -> dict[str, Any]:
        """Take over an episode with the file that holds it, and return where it lies; each file is copied once.

        Raises:
            OSError: if the file cannot be copied.
        """
        if stretch.path not in self._copied:
            self.close()
            path = self._next_path()
            shutil.copyfile(stretch.path, path)
            self._copied[stretch.path] = len(self._paths)
            self._paths.append(path)
        place = self._copied[stretch.path]
        return self._place(place, stretch.start, stretch.start + timesteps / float(self._fps))

    def close(self) -> None:
        """Write the last frames and close the file.

        Raises:
            OSError: if the file cannot be written.
        """
        if self._open is None:
            return
        (container, _), self._open = self._open, None
        try:
            container.close()
        except FFmpegError as error:
            raise OSError(error.errno, f"{self._paths[-1]} cannot be written: {error.strerror}") from error

    def _place(self, place: int, start: float, end: float) -> dict[str, Any]:
        chunk, file = divmod(place, FILES_PER_CHUNK)
        found = {"chunk_index": chunk, "file_index": file, "from_timestamp": start, "to_timestamp": end}
        return {f"videos/{self._column}/{name}": value for name, value in found.items()}

    def _next_path(self) -> Path:
        chunk, file = divmod(len(self._paths), FILES_PER_CHUNK)
        name = layout.VIDEOS.format(video_key=self._column, chunk_index=chunk, file_index=file)
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _begin(self, given: VideoStream) -> tuple[OutputContainer, VideoStream]:
        path = self._next_path()
        self._paths.append(path)
        container = av.open(str(path), "w", format="mp4")
        stream = container.add_stream_from_template(given)
        assert isinstance(stream, VideoStream)
        self._open, self._frames, self._size = (container, stream), 0, 0
        return self._open


def encode(frames: UInt8[np.ndarray, "T height width 3"], fps: float) -> bytes:
    """Return the frames of an episode as a video of their own.

    Raises:
        OSError: if they cannot be encoded.
    """
    content, rate = io.BytesIO(), Fraction(fps).limit_denominator(_FINEST_RATE)
    height, width = frames.shape[1:3]
    try:
        with av.open(content, "w", format="mp4") as container:
            stream = container.add_stream(CODEC, rate=rate, options=OPTIONS)
            assert isinstance(stream, VideoStream)
            stream.height, stream.width, stream.pix_fmt = height, width, pixel_format(height, width)
            stream.codec_context.gop_size = KEYFRAME_DISTANCE
            stream.codec_context.time_base = 1 / rate
            for number, pixels in enumerate(frames):
                frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
                frame.pts, frame.time_base = number, 1 / rate
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    except FFmpegError as error:
        raise OSError(error.errno, f"{height} x {width} frames cannot be encoded: {error.strerror}") from error
    return content.getvalue()


def pixel_format(height: int, width: int) -> str:
    """Return the pixel format of encoded frames: colors at half the resolution, which needs even sides."""
    return "yuv444p" if height % 2 or width % 2 else "yuv420p"


def video_feature(height: int, width: int, fps: float) -> layout.Feature:
    """Describe a column of encoded frames, as LeRobot does."""
    return {
        "dtype": "video",
        "shape": [height, width, 3],
        "names": ["height", "width", "channels"],
        "info": {
            "video.height": height,
            "video.width": width,
            "video.channels": 3,
            "video.codec": "h264",
            "video.pix_fmt": pixel_format(height, width),
            "video.is_depth_map": False,
            "video.fps": fps,
            "has_audio": False,
        },
    }

"""TFRecord files and the examples in them.

    record   length (8 bytes), its checksum (4), that many bytes, their checksum (4)
    example  Features { map<string, bytes list | float list | integer list> } as protocol buffer

Source: TensorFlow's documentation of TFRecord and `example.proto`, `feature.proto`.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from astra.datasets.importers.rlds.checksum import masked_crc32c
from astra.storage.json_file import check_regular

LARGEST_RECORD = 2**31
COPY_AGAIN = "copy the file again"

Feature = list[bytes] | np.ndarray
"""Values of a feature: byte strings, or float32 or int64 numbers."""


def read_records(path: Path) -> Iterator[bytes]:
    """Yield the records of a TFRecord file.

    Raises:
        FileNotFoundError: if the file is missing.
        ValueError: if the file is truncated, damaged or no regular file; the message names the record.
    """
    check_regular(path, COPY_AGAIN)
    with path.open("rb") as file:
        number = 0
        while head := file.read(12):
            where = f"{path}, record {number}"
            length = int.from_bytes(head[:8], "little")
            if len(head) < 12 or masked_crc32c(head[:8]) != int.from_bytes(head[8:], "little"):
                raise ValueError(f"{where}: its length is damaged (truncated, or not a TFRecord file?); {COPY_AGAIN}")
            if length > LARGEST_RECORD:
                raise ValueError(f"{where} has {length:,} bytes, expected at most {LARGEST_RECORD:,}; {COPY_AGAIN}")
            data, tail = file.read(length), file.read(4)
            if len(data) < length or len(tail) < 4:
                raise ValueError(f"{where} is truncated; {COPY_AGAIN}")
            if length >= 4 and masked_crc32c(data) != int.from_bytes(tail, "little"):
                raise ValueError(f"{where} is damaged: its checksum differs; {COPY_AGAIN}")
            yield data
            number += 1


def count_records(path: Path) -> int:
    """Count the records of a file by their lengths; what is wrong in them is found when they are read.

    Raises:
        FileNotFoundError: if the file is missing.
        ValueError: if it is no regular file.
    """
    check_regular(path, COPY_AGAIN)
    with path.open("rb") as file:
        size, place, number = path.stat().st_size, 0, 0
        while place + 12 <= size:
            file.seek(place)
            length = int.from_bytes(file.read(8), "little")
            number += 1
            if not length:  # no example is empty: a hole, which may be long
                break
            place += 16 + length
        return number


def parse_example(data: bytes, where: str) -> Mapping[str, Feature]:
    """Return the features of an example.

    Raises:
        ValueError: if the bytes are no example.
    """
    try:
        features = {}
        for number, value in _fields(data):
            if number == 1:
                for entry, content in _fields(value):
                    if entry == 1:
                        pair = dict(_fields(content))
                        features[pair[1].decode("utf-8")] = _feature(pair.get(2, b""))
    except (LookupError, ValueError, TypeError) as error:
        raise ValueError(f"{where} holds no example of TensorFlow ({error}); {COPY_AGAIN}") from error
    return features


def _feature(data: bytes) -> Feature:
    for number, values in _fields(data):
        match number:
            case 1:
                return [value for _, value in _fields(values)]
            case 2:
                return np.concatenate([np.empty(0, np.float32), *(np.frombuffer(v, "<f4") for _, v in _fields(values))])
            case 3:
                return np.array([n for _, v in _fields(values) for n in _integers(v)], dtype=np.int64)
    return []


def _integers(data: bytes) -> Iterator[int]:
    """Yield packed 64-bit numbers."""
    place = 0
    while place < len(data):
        value, place = _varint(data, place)
        yield value - 2**64 if value >= 2**63 else value


def _fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the number and the content of each field of a message."""
    place = 0
    while place < len(data):
        tag, place = _varint(data, place)
        match tag & 7:
            case 0:
                start = place
                _, place = _varint(data, place)
                yield tag >> 3, data[start:place]
            case 1 | 5:
                size = 8 if tag & 7 == 1 else 4
                place += size
                yield tag >> 3, data[place - size : place]
            case 2:
                size, place = _varint(data, place)
                place += size
                if place > len(data):
                    raise ValueError("a field ends after its message")
                yield tag >> 3, data[place - size : place]
            case kind:
                raise ValueError(f"a field is of the kind {kind}")


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        byte = data[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place
        if shift > 63:
            raise ValueError("a number is too long")

"""Damage to files, whatever they hold: bits, bytes, names, links, other kinds of files."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random


def files_below(folder: Path) -> list[Path]:
    """List the regular files below a folder, without hidden ones."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))


def flip_bit(random: Random, path: Path) -> None:
    """Flip one bit."""
    content = bytearray(path.read_bytes())
    content[random.randrange(len(content))] ^= 1 << random.randrange(8)
    path.write_bytes(content)


def flip_bits(random: Random, path: Path) -> None:
    """Flip eight bits."""
    for _ in range(8):
        flip_bit(random, path)


def truncate(random: Random, path: Path) -> None:
    """Cut a file short."""
    os.truncate(path, random.randrange(path.stat().st_size))


def empty(random: Random, path: Path) -> None:
    """Leave nothing of a file."""
    path.write_bytes(b"")


def append(random: Random, path: Path) -> None:
    """Append random bytes."""
    with path.open("ab") as file:
        file.write(random.randbytes(random.choice([1, 8, 5000])))


def zero_block(random: Random, path: Path) -> None:
    """Replace a block by zeros, as after a crash of the file system."""
    size = path.stat().st_size
    start = random.randrange(size)
    with path.open("r+b") as file:
        file.seek(start)
        file.write(bytes(min(random.choice([16, 512, 4096]), size - start)))


def replace_by_noise(random: Random, path: Path) -> None:
    """Replace the content by random bytes."""
    path.write_bytes(random.randbytes(path.stat().st_size))


def repeat_block(random: Random, path: Path) -> None:
    """Insert a second copy of a block of the file."""
    content = path.read_bytes()
    start = random.randrange(len(content))
    end = min(len(content), start + random.choice([1, 64, 4096]))
    path.write_bytes(content[:end] + content[start:])


def delete(random: Random, path: Path) -> None:
    """Delete a file."""
    path.unlink()


def delete_folder(random: Random, path: Path) -> None:
    """Delete the folder of a file."""
    shutil.rmtree(path.parent)


def make_folder(random: Random, path: Path) -> None:
    """Put a folder in the place of a file."""
    path.unlink()
    path.mkdir()


def make_pipe(random: Random, path: Path) -> None:
    """Put a named pipe in the place of a file, from which reading never ends."""
    path.unlink()
    os.mkfifo(path)


def link_to_itself(random: Random, path: Path) -> None:
    """Put a link that leads to itself in the place of a file."""
    path.unlink()
    path.symlink_to(path.name)


def link_to_device(random: Random, path: Path) -> None:
    """Put a link to an endless device in the place of a file."""
    path.unlink()
    path.symlink_to("/dev/zero")


def link_outside(random: Random, path: Path) -> None:
    """Put a link to a file of the system in the place of a file."""
    path.unlink()
    path.symlink_to("/etc/passwd")


def make_huge(random: Random, path: Path) -> None:
    """Make a file 4 GB long, without taking any space on the disk."""
    os.truncate(path, 4 * 2**30)


def forbid(random: Random, path: Path) -> None:
    """Take away the permission to read; without effect for the superuser."""
    path.chmod(0)


def swap(random: Random, path: Path) -> None:
    """Swap a file with another one of its kind, or with any other file if there is none."""
    root = next(parent for parent in path.parents if (parent.parent / "here").exists())
    others = [other for other in files_below(root) if other != path]
    other = random.choice([each for each in others if each.suffix == path.suffix] or others)
    content = path.read_bytes()
    path.write_bytes(other.read_bytes())
    other.write_bytes(content)


Damage = Callable[[Random, Path], None]

DAMAGES: dict[Damage, int] = {
    flip_bit: 12,
    flip_bits: 2,
    truncate: 3,
    empty: 1,
    append: 2,
    zero_block: 2,
    replace_by_noise: 1,
    repeat_block: 2,
    delete: 2,
    delete_folder: 1,
    make_folder: 1,
    make_pipe: 1,
    link_to_itself: 1,
    link_to_device: 1,
    link_outside: 1,
    make_huge: 1,
    forbid: 1,
    swap: 2,
}
"""Damages with their weights."""


def damage(random: Random, path: Path) -> str:
    """Damage a file in one random way, and return a description."""
    chosen = random.choices(list(DAMAGES), list(DAMAGES.values()))[0]
    chosen(random, path)
    return f"{chosen.__name__.replace('_', ' ')}: {path.name}"

"""Datasets of the Hugging Face Hub by their id, such as `lerobot/pusht` or `lerobot/pusht@v3.0`.

A name is one of the Hub if it has the form OWNER/NAME or OWNER/NAME@REVISION and no such folder exists here; with
`hf://datasets/` before it, it always is. A downloaded commit is verified once, file by file, and noted beside it in the
Hub's own cache; after that, or with HF_HUB_OFFLINE, nothing touches the network.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

from astra.storage.atomic import write_atomic

PATTERNS = ("meta/*", "data/*", "videos/*", "sentences.json")
"""Files of a dataset; others of its repository are not downloaded."""
OUR_FOLDERS = ("data", "runs")
"""First parts of names that are folders in all our examples: what is missing there is not looked for on the Hub."""
PREFIX = re.compile(r"hf:/{1,2}datasets/")
REPOSITORY = r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}"
ID = re.compile(rf"({REPOSITORY})(?:@((?!.*\.\.)\w[\w./-]{{0,200}}))?")
COMMIT = re.compile(r"[0-9a-f]{40}")
BYTES_AT_ONCE = 2**20


def local_folder(name: str | Path) -> Path:
    """Return the folder of a dataset, downloaded if it lies on the Hub and not here yet.

    Raises:
        FileNotFoundError: if the Hub has no such dataset or revision, or it is not here and cannot be reached.
        ValueError: if a downloaded file differs from what the Hub describes.
    """
    found = parse_id(name)
    return Path(name) if found is None else _snapshot(*found)


def folder_here(name: str | Path) -> Path:
    """Return the folder of a dataset that a run names, which must be on this machine: nothing is downloaded.

    A run may come from a stranger, so that only a name which the user gave leads to the network.

    Raises:
        FileNotFoundError: if it is a dataset of the Hub that is not here.
    """
    found = parse_id(name)
    return Path(name) if found is None else _snapshot(*found, download=False)


def pinned(name: Path) -> Path:
    """Return the name of a dataset with the commit that it stands for now; folders stay as they are.

    Raises:
        FileNotFoundError: if the Hub has no such dataset or revision, or it is not here and cannot be reached.
        ValueError: if a downloaded file differs from what the Hub describes.
    """
    found = parse_id(name)
    return name if found is None else Path(f"{found[0]}@{_snapshot(*found).name}")


def parse_id(name: str | Path) -> tuple[str, str] | None:
    """Return the repository and the revision that a name stands for, or None if it is a folder."""
    text = Path(name).as_posix()
    prefix = PREFIX.match(text)
    match = ID.fullmatch(text[prefix.end() :] if prefix else text)
    if match is None or (prefix is None and _is_local(text)):
        return None
    return match[1], match[2] or "main"


def _is_local(text: str) -> bool:
    owner = text.split("/")[0]
    return Path(text).exists() or Path(owner).exists() or owner in OUR_FOLDERS


def _snapshot(repository: str, revision: str, *, download: bool = True) -> Path:
    """Return the folder of a commit, complete and verified."""
    from huggingface_hub import constants, snapshot_download

    cache = Path(constants.HF_HUB_CACHE) / f"datasets--{repository.replace('/', '--')}"
    known = _known_commit(cache, revision)
    if known is not None and (COMMIT.fullmatch(revision) or constants.HF_HUB_OFFLINE or not download):
        return cache / "snapshots" / known
    if not download:
        raise FileNotFoundError(
            f"the run names the dataset {_name(repository, revision)} of the Hugging Face Hub, which is not completely "
            f"on this machine, and nothing is downloaded only because a run names it. If you trust the name, download "
            f"it by astra inspect dataset {_name(repository, revision)}"
        )
    if constants.HF_HUB_OFFLINE:
        raise FileNotFoundError(
            f"there is no folder {_name(repository, revision)}, and the dataset of this name on the Hugging Face Hub "
            "is not completely on this machine, while HF_HUB_OFFLINE is set: unset it to download the dataset, or give "
            "a folder"
        )
    with _explained(repository, revision):
        folder = snapshot_download(repository, repo_type="dataset", revision=revision, allow_patterns=list(PATTERNS))
        commit = Path(folder).name
        listed = {} if _known_commit(cache, commit) else _listing(repository, commit)
    if listed:
        for path, (size, digest) in listed.items():
            _verify(Path(folder) / path, size, digest)
        write_atomic(_note(cache, commit), json.dumps(sorted(listed)).encode())
    return Path(folder)


def _listing(repository: str, commit: str) -> Mapping[str, tuple[int, str]]:
    """Return size and digest of each file of the dataset in a commit, as the Hub describes them."""
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

    tree = HfApi().list_repo_tree(repository, recursive=True, revision=commit, repo_type="dataset")
    return {
        entry.path: (entry.size, entry.lfs.sha256 if entry.lfs else entry.blob_id)
        for entry in tree
        if isinstance(entry, RepoFile) and any(fnmatch(entry.path, pattern) for pattern in PATTERNS)
    }


def _verify(path: Path, size: int, digest: str) -> None:
    """Check a downloaded file against its SHA-256, or its SHA-1 as a blob of git; remove it if it differs."""
    if path.is_file() and path.stat().st_size == size:
        found = hashlib.sha256() if len(digest) == 64 else hashlib.sha1(f"blob {size}\0".encode())
        with path.open("rb") as file:
            while data := file.read(BYTES_AT_ONCE):
                found.update(data)
        if found.hexdigest() == digest:
            return
    path.resolve().unlink(missing_ok=True)
    path.unlink(missing_ok=True)
    raise ValueError(f"{path} is not the file that the Hub describes; it was removed: try again")


def _note(cache: Path, commit: str) -> Path:
    """Return the file that notes that a commit is complete."""
    return cache / "astra" / f"{commit}.json"


def _known_commit(cache: Path, revision: str) -> str | None:
    """Return the commit of a revision if all of its files are here and were verified."""
    commit = revision
    if not COMMIT.fullmatch(revision):
        reference = cache / "refs" / revision
        commit = reference.read_text().strip() if reference.is_file() else ""
    try:
        names = json.loads(_note(cache, commit).read_bytes())
    except (OSError, ValueError):
        return None
    return commit if all((cache / "snapshots" / commit / name).is_file() for name in names) else None


@contextmanager
def _explained(repository: str, revision: str) -> Iterator[None]:
    """Turn errors of the Hub's library into one message."""
    from huggingface_hub import get_token
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    name = _name(repository, revision)
    try:
        yield
    except GatedRepoError as error:
        raise FileNotFoundError(
            f"the dataset {name} asks for its conditions to be accepted: open https://huggingface.co/datasets/"
            f"{repository}, accept them, and log in by `hf auth login`"
        ) from error
    except RevisionNotFoundError as error:
        raise FileNotFoundError(f"the dataset {repository} on the Hub has no revision {revision!r}") from error
    except RepositoryNotFoundError as error:
        access = (
            "your token has no access to it"
            if get_token()
            else "it is private: log in by `hf auth login`, or set HF_TOKEN"
        )
        raise FileNotFoundError(
            f"there is neither a folder {name} here nor a dataset of this name on the Hugging Face Hub, or {access}"
        ) from error
    except Exception as error:
        reason = next(iter(str(error).split("\n")), "") or type(error).__name__
        raise OSError(
            f"there is no folder {name}, and the dataset of this name could not be downloaded from the Hugging Face "
            f"Hub ({reason}): try again, which continues where it ended, or give a folder"
        ) from error


def _name(repository: str, revision: str) -> str:
    return repository if revision == "main" else f"{repository}@{revision}"

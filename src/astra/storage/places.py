"""Places at which nothing new is written: datasets, and folders inside of them."""

from pathlib import Path

DATASET_FILE = Path("meta") / "info.json"
"""File by which the folder of a dataset is known."""


def check_outside_datasets(folder: Path, advice: str) -> None:
    """Check that a folder to be written is no dataset and not inside one, whose files would get mixed with it.

    Args:
        folder: The folder, which need not exist.
        advice: Words for what to do, such as "choose another folder with --output".

    Raises:
        ValueError: if it is.
    """
    for place in (folder, *folder.absolute().parents):
        if (place / DATASET_FILE).exists():
            what = "is a dataset" if place is folder else f"is inside the dataset {place}"
            raise ValueError(f"{folder} {what}: {advice}")


def check_new(output: Path) -> None:
    """Check that nothing lies where a command is to write, before it begins.

    Raises:
        FileExistsError: if something does.
    """
    if output.exists():
        raise FileExistsError(f"{output} exists already: choose another folder with --output, or remove it first")

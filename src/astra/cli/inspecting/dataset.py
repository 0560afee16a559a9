"""`astra inspect dataset`: what a dataset holds and what is wrong in it, as text or as a page."""

import shlex
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from astra.cli.inspecting.facts import print_facts

if TYPE_CHECKING:
    from astra.analysis.inspection.findings import Finding
    from astra.datasets import LeRobotDataset


def dataset(folder: tyro.conf.Positional[Path], full: bool = False, html: Path | None = None) -> int:
    """Print what a dataset holds and what is wrong in it, or which format recordings have and how to train on them.

    The exit code is 1 if something is wrong, such as duplicated episodes or dropped frames, and 2 if the dataset cannot
    be read.

    Args:
        folder: folder of the dataset, or its id on the Hugging Face Hub; or recordings in another format.
        full: decode every frame, hash every byte of the dataset and of its cache, print the checksum, and read again
            what differs from what was cached.
        html: write a page to this file, with episodes, histograms and everything that was found.
    """
    from astra.analysis.inspection.frames import EveryFrame
    from astra.datasets import describe
    from astra.datasets.episode_numbers import format_episodes
    from astra.datasets.importers.recognition import recognize_format
    from astra.datasets.lerobot.layout import INFO
    from astra.experiments.own_data import own_data
    from astra.storage.hub import local_folder
    from astra.storage.places import check_writable

    if html is not None:
        check_writable(html)
    named, folder = folder, local_folder(folder)
    if folder.exists() and not (folder / INFO).exists() and (found := recognize_format(folder)) is not None:
        source = shlex.quote(str(found.source))
        print(f"{folder} is a {found.what}. To convert it and to train on it:")
        print(f"astra convert {found.convert} {source} data/mine {found.options}".strip())
        print("astra train own-data --dataset data/mine")
        return 0
    opened, findings, verified = open_and_find(folder, full=full)
    if full and opened.recorded is not None:
        every = EveryFrame(opened)
        opened.recorded.check(every)
        findings = (*findings, *every.findings())
    facts = [*verified, *describe(opened)]
    print_facts(facts)
    if html is not None:
        from astra.analysis.inspection.page import write_page

        findings = write_page(opened, findings, facts, own_data().policy.actions, html)
    findings = sorted(findings, key=lambda finding: not finding.wrong)
    print_findings(findings)
    unwanted = sorted({episode for finding in findings for episode in finding.leave_out})
    if 0 < len(unwanted) < len(opened):
        source, output = shlex.quote(str(named)), shlex.quote(f"data/{named.resolve().name}-kept")
        print("To write the dataset without these episodes:")
        print(f"astra convert lerobot {source} --output {output} --leave-out {format_episodes(unwanted)}")
    if html is not None:
        print(f"page: {html}")
    return int(any(finding.wrong for finding in findings))


def open_and_find(
    folder: Path, *, full: bool = False
) -> "tuple[LeRobotDataset, tuple[Finding, ...], list[tuple[str, str]]]":
    """Open a dataset without decoding frames, look for what is wrong in it, and return both and what was verified.

    Args:
        folder: Folder of the dataset.
        full: Whether every byte of it and of its cache is hashed before.

    Raises:
        FileNotFoundError: if there is no dataset.
        ValueError: if it is damaged.
    """
    from astra.analysis.inspection.findings import Finding, PlannedSplit, find
    from astra.datasets import LeRobotDataset
    from astra.datasets.lerobot.info import NamesWarning
    from astra.datasets.lerobot.metadata import read_metadata
    from astra.datasets.lerobot.verification import verify
    from astra.experiments.own_data import own_data

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        verified = verify(folder, read_metadata(folder, None).files) if full else []
        opened = LeRobotDataset.open(folder, decode=False)
    training = own_data()
    findings = find(
        opened,
        [str(warning.message) for warning in warned if warning.category is UserWarning],
        training.policy.actions,
        PlannedSplit(validation=training.validation, seed=training.training.seed),
    )
    names = [str(warning.message) for warning in warned if warning.category is NamesWarning]
    notes = tuple(Finding(kind="names of dimensions", text=text, wrong=False) for text in names)
    return opened, (*findings, *notes), verified


def print_findings(findings: "Sequence[Finding]") -> None:
    """Print one line per finding."""
    for finding in findings:
        print(f"{'WRONG' if finding.wrong else 'note'}: {finding.kind}: {finding.text}")

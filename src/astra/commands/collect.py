"""`astra collect ENVIRONMENT --episodes N --output DIR`: demonstrations by the expert, in the native format."""

from collections.abc import Sequence

from astra.commands.names import nearest
from astra.commands.parse import parse
from astra.datasets import LeRobotDataset
from astra.experiments.pusht_demonstrations import CollectConfig, collect_pusht
from astra.experiments.tabletop_demonstrations import TabletopCollectConfig, collect_tabletop

ENVIRONMENTS = {
    "pusht": "Push-T, by sampling pushes in a copy of the simulator",
    "tabletop": "the lookalike of VIMA-Bench, by an oracle that knows the goals",
}


def run(arguments: Sequence[str]) -> None:
    """Run the command.

    Raises:
        ValueError: if there is no such environment, or it is not installed.
        FileExistsError: if the output exists.
    """
    if not arguments or arguments[0].startswith("-"):
        names = "\n".join(f"  {name:12}{what}" for name, what in ENVIRONMENTS.items())
        print(f"usage: astra collect ENVIRONMENT --episodes N --output DIR\n\n{names}")
        if not arguments:
            raise ValueError("say which environment")
        return
    name, *rest = arguments
    if name not in ENVIRONMENTS:
        raise ValueError(f"there is no environment with an expert named {name!r}{nearest(name, ENVIRONMENTS)}")
    if name == "tabletop":
        folder = collect_tabletop(parse(TabletopCollectConfig, f"collect {name}", rest))
    else:
        folder = collect_pusht(parse(CollectConfig, f"collect {name}", rest))
    dataset = LeRobotDataset.open(folder)
    print(f"{len(dataset)} episodes, {int(dataset.lengths.sum())} timesteps: {folder}")

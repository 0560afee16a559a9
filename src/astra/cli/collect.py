"""`astra collect ENVIRONMENT --episodes N --output DIR`: demonstrations by the expert, in the native format."""

from collections.abc import Sequence

from astra.cli.names import choose
from astra.cli.parse import parse

ENVIRONMENTS = {
    "pusht": "Push-T, by sampling pushes in a copy of the simulator",
    "tabletop": "the lookalike of VIMA-Bench, by an oracle that knows the goals",
    "vima-bench": "VIMA-Bench, where it is installed, by its own oracle",
}


def run(arguments: Sequence[str]) -> None:
    """Run the command.

    Raises:
        ValueError: if there is no such environment, or it is not installed.
        FileExistsError: if the output exists.
    """
    usage = "astra collect ENVIRONMENT --episodes N --output DIR"
    name = choose(arguments, "environment with an expert", usage, ENVIRONMENTS)
    if name is None:
        return

    from astra.datasets import LeRobotDataset
    from astra.demonstrations.pusht import CollectConfig, collect_pusht
    from astra.demonstrations.tabletop import TabletopCollectConfig, collect_tabletop
    from astra.demonstrations.vima_bench import CollectVimaBenchConfig, collect_vima_bench

    rest = arguments[1:]
    match name:
        case "pusht":
            folder = collect_pusht(parse(CollectConfig, f"collect {name}", rest))
        case "tabletop":
            folder = collect_tabletop(parse(TabletopCollectConfig, f"collect {name}", rest))
        case _:
            folder = collect_vima_bench(parse(CollectVimaBenchConfig, f"collect {name}", rest))
    dataset = LeRobotDataset.open(folder)
    print(f"{len(dataset)} episodes, {int(dataset.lengths.sum())} timesteps: {folder}")

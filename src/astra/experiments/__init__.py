"""Named experiments: one function per row of a table, whose docstring is its lab note.

To add an experiment, write a function that returns an `Experiment`, and add a line to the list below.
"""

from dataclasses import dataclass

from astra.lazy_function import LazyFunction


@dataclass(frozen=True, kw_only=True)
class NamedExperiment:
    """Entry of the list that `astra experiments` prints."""

    make: LazyFunction
    """Function that returns the `Experiment`."""
    row: str
    """Row of the paper's tables that it reproduces, or its purpose."""
    scale: str
    """`paper` for the settings that the paper prints, else `cpu`."""
    hours: str
    """Expected hours of training, and on what hardware."""

    @property
    def notes(self) -> str:
        """Lab note of the experiment, the docstring of its function."""
        return self.make.docstring

    @property
    def family_notes(self) -> str:
        """Lab note of the experiments beside it, the docstring of their module: often how to get demonstrations."""
        return self.make.docstring_of_module


def _named(function: str, row: str, scale: str, hours: str) -> NamedExperiment:
    module, _, name = function.partition(".")
    return NamedExperiment(make=LazyFunction(f"{__name__}.{module}", name), row=row, scale=scale, hours=hours)


EXPERIMENTS = {
    "calvin-d": _named("calvin.calvin_d", "Table 3, D to D, from states", "cpu", "not measured"),
    "calvin-abc": _named("calvin.calvin_abc", "Table 3, ABC to D, from states", "cpu", "not measured"),
    "calvin-d-images": _named("calvin.calvin_d_images", "Table 3, D to D, two cameras", "cpu", "not measured"),
    "calvin-abc-images": _named("calvin.calvin_abc_images", "Table 3, ABC to D, two cameras", "cpu", "not measured"),
    "calvin-abc-38m": _named("calvin.calvin_abc_38m", "Table 3, Astra", "paper", "not measured"),
    "kitchen": _named("kitchen.kitchen", "Table 5, Astra, discrete", "cpu", "1.2 on one core"),
    "kitchen-continuous": _named("kitchen.kitchen_continuous", "Table 5, Astra, continuous", "cpu", "1.3 on one core"),
    "kitchen-images": _named("kitchen.kitchen_images", "Table 5, from two cameras", "cpu", "0.4 on one core"),
    "kitchen-43m": _named("kitchen.kitchen_43m", "Table 5, Astra, discrete", "paper", "not measured"),
    "kitchen-43m-continuous": _named(
        "kitchen.kitchen_43m_continuous", "Table 5, Astra, continuous", "paper", "not measured"
    ),
    "maniskill": _named("maniskill.maniskill", "Table 2, Astra, two cameras", "cpu", "1.2 on one core"),
    "maniskill-states": _named("maniskill.maniskill_states", "Table 2's tasks, privileged", "cpu", "not measured"),
    "maniskill-198m": _named("maniskill.maniskill_198m", "Table 2, Astra", "paper", "not measured"),
    "metaworld-mt10": _named(
        "metaworld.metaworld_mt10",
        "not in the paper: Meta-World, MT10",
        "cpu",
        "up to 4.6 on one core that others used",
    ),
    "own-data": _named("own_data.own_data", "your demonstrations", "cpu", "0.4 on one core, more with cameras"),
    "pusht-expert": _named("pusht.pusht_expert", "Push-T, expert data", "cpu", "0.6 on one core"),
    "pusht-blinking": _named("pusht.pusht_blinking", "history, where it must pay", "cpu", "1 on one core, estimated"),
    "pusht-expert-continuous": _named("pusht.pusht_expert_continuous", "Push-T, expert data", "cpu", "0.6 on one core"),
    "pusht-human": _named("pusht.pusht_human", "Table 6, Astra", "cpu", "0.75 on one core"),
    "pusht-human-continuous": _named("pusht.pusht_human_continuous", "Table 6, Astra", "cpu", "0.75 on one core"),
    "pusht-human-long": _named("pusht.pusht_human_long", "Table 6, Astra", "cpu", "about 2 on one core"),
    "pusht-human-19m": _named("pusht.pusht_human_19m", "Table 6, Astra", "paper", "not measured"),
    "tabletop": _named("tabletop.tabletop", "lookalike of Table 1", "cpu", "2.8 on one core that others used"),
    "tabletop-short": _named("tabletop.tabletop_short", "comparisons of policies", "cpu", "0.3 on one core"),
    "tabletop-contrastive": _named(
        "contrastive.tabletop_contrastive", "Table 4, with CDL", "cpu", "0.9 on one core, estimated"
    ),
    "tabletop-pretraining": _named("contrastive.tabletop_pretraining", "CDL alone", "cpu", "0.3 on one core"),
    "tabletop-pretrained": _named("contrastive.tabletop_pretrained", "after CDL alone", "cpu", "0.2 on one core"),
    "vima-bench": _named("tabletop.vima_bench", "Table 1, Astra", "paper", "not measured"),
    "vima-bench-cpu": _named("tabletop.vima_bench_cpu", "Table 1, small", "cpu", "0.6 on one core"),
    "vima-bench-cpu-with-tabletop": _named(
        "tabletop.vima_bench_cpu_with_tabletop", "Table 1, small", "cpu", "0.7 on one core"
    ),
    "vima-bench-cpu-long": _named(
        "tabletop.vima_bench_cpu_long", "Table 1, small", "cpu", "about 2 on one core, estimated"
    ),
}
"""Every named experiment, by its name on the command line. Its function is imported when it is called."""

"""Named runs: one function per row of a table, whose docstring is its lab note."""

from astra.experiments import contrastive, own_data, pusht, tabletop
from astra.experiments.experiment import Named

EXPERIMENTS = {
    "own-data": Named(make=own_data.own_data, row="your demonstrations", scale="cpu", hours="0.75 on one core"),
    "pusht-expert": Named(make=pusht.pusht_expert, row="Push-T, expert data", scale="cpu", hours="0.75 on one core"),
    "pusht-expert-continuous": Named(
        make=pusht.pusht_expert_continuous, row="Push-T, expert data", scale="cpu", hours="0.75 on one core"
    ),
    "pusht-human": Named(make=pusht.pusht_human, row="Table 6, Astra", scale="cpu", hours="0.75 on one core"),
    "pusht-human-continuous": Named(
        make=pusht.pusht_human_continuous, row="Table 6, Astra", scale="cpu", hours="0.75 on one core"
    ),
    "pusht-human-19m": Named(make=pusht.pusht_human_19m, row="Table 6, Astra", scale="paper", hours="not measured"),
    "tabletop": Named(make=tabletop.tabletop, row="lookalike of Table 1", scale="cpu", hours="1.9 on two cores"),
    "tabletop-short": Named(
        make=tabletop.tabletop_short, row="comparisons of policies", scale="cpu", hours="0.4 on one core"
    ),
    "tabletop-contrastive": Named(
        make=contrastive.tabletop_contrastive, row="Table 4, with CDL", scale="cpu", hours="0.9 on one core, estimated"
    ),
    "tabletop-pretraining": Named(
        make=contrastive.tabletop_pretraining, row="CDL alone", scale="cpu", hours="1.7 on one core, estimated"
    ),
    "tabletop-pretrained": Named(
        make=contrastive.tabletop_pretrained, row="after CDL alone", scale="cpu", hours="0.4 on one core"
    ),
    "vima-bench": Named(make=tabletop.vima_bench, row="Table 1, Astra", scale="paper", hours="not measured"),
    "vima-bench-cpu": Named(make=tabletop.vima_bench_cpu, row="Table 1, small", scale="cpu", hours="0.6 on one core"),
    "vima-bench-cpu-with-tabletop": Named(
        make=tabletop.vima_bench_cpu_with_tabletop, row="Table 1, small", scale="cpu", hours="0.7 on one core"
    ),
}
"""Every named experiment."""

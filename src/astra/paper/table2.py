"""Table 2: pick and place in ManiSkill with seen and unseen objects. Shown only: its runs are not set up yet."""

from astra.paper.table import Column, Row, Table


def table2() -> Table:
    """Return Table 2 of the paper."""
    names = (
        *("unseen color", "unseen size", "unseen shape", "unseen container", "unseen all"),
        *("seen, 0 distractors", "seen, 2-4 distractors", "seen, 6-8 distractors"),
    )
    return Table(
        name="table2",
        title="Success in ManiSkill (%)",
        columns=tuple(Column(name=name, group=name) for name in names),
        rows=(
            Row(name="RT-1", attention="causal", paper=(27.03, 6.36, 20.30, 0.79, 1.27, 61.09, 39.17, 23.40)),
            Row(
                name="VIMA",
                attention="cross",
                sizes={"paper": "vima-525m"},
                paper=(26.00, 26.00, 17.20, 30.75, 19.33, 47.93, 41.47, 36.33),
            ),
            Row(
                name="Gato",
                attention="causal",
                sizes={"paper": "gato-198m"},
                paper=(46.00, 74.00, 42.00, 44.40, 40.00, 76.40, 73.33, 62.67),
            ),
            Row(
                name="Astra",
                attention="trajectory",
                sizes={"paper": "astra-198m"},
                paper=(72.00, 91.00, 52.40, 63.43, 70.67, 90.93, 90.53, 79.07),
            ),
        ),
        refused="ManiSkill comes in a later version",
        reference="astra",
        paper_environment="ManiSkill2",
        notes=("The paper's Astra has contrastive dynamics learning.",),
    )

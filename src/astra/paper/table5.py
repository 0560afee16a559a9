"""Table 5: stages in Franka Kitchen with continuous and discrete actions. Shown only: its runs come later."""

from astra.paper.table import Column, Row, Table


def table5() -> Table:
    """Return Table 5 of the paper."""
    stages = ("p1", "p2", "p3", "p4", "mean")
    names = tuple(f"{kind} {stage}" for kind in ("continuous", "discrete") for stage in stages)
    return Table(
        name="table5",
        title="Stages done in Franka Kitchen (%)",
        columns=tuple(Column(name=name, group=name) for name in names),
        rows=(
            Row(
                name="Diffusion",
                own_loss=True,
                attention="causal",
                sizes={"paper": "diffusion-43m"},
                paper=(100, 94, 72, 34, 76, 54, 18, 10, 2, 21),
            ),
            Row(
                name="VIMA",
                attention="cross",
                sizes={"paper": "vima-113m"},
                paper=(92, 90, 80, 66, 82, 90, 72, 48, 16, 57),
            ),
            Row(
                name="Gato",
                attention="causal",
                sizes={"paper": "gato-43m"},
                paper=(100, 98, 84, 62, 86, 100, 88, 68, 38, 74),
            ),
            Row(
                name="Astra",
                attention="trajectory",
                sizes={"paper": "astra-43m"},
                paper=(100, 100, 94, 70, 91, 100, 94, 68, 52, 79),
            ),
        ),
        refused="its runs come in a later version; the suite franka-kitchen is here",
        reference="astra",
        paper_environment="Franka Kitchen",
        notes=("As printed. The mean of Diffusion's continuous stages is 75 (printed: 76).",),
    )

"""Table 3: chained tasks in CALVIN, trained in A, B and C, tested in D. Shown only: Astra has no CALVIN suite yet."""

from astra.paper.table import Column, Row, Table


def table3() -> Table:
    """Return Table 3 of the paper; it quotes five rows from other papers."""
    quoted = {
        "MCIL": (30.4, 1.3, 0.2, 0.0, 0.0, 0.31),
        "OpenVLA": (32.4, 4.2, 1.4, 0.5, 0.3, 0.39),
        "MDT": (61.7, 41.6, 23.8, 14.7, 8.7, 1.54),
        "RoboFlamingo": (82.4, 61.9, 46.6, 33.1, 23.5, 2.48),
        "GR-1": (85.4, 71.2, 59.6, 49.7, 40.1, 3.06),
    }
    names = (*(f"{number} in a row" for number in range(1, 6)), "mean length (tasks, not %)")
    return Table(
        name="table3",
        title="Tasks done in a row in CALVIN, ABC to D (%)",
        columns=tuple(Column(name=name, group=name) for name in names),
        rows=(
            *(Row(name=name, paper=numbers, quoted=True) for name, numbers in quoted.items()),
            Row(name="RT-1", attention="causal", paper=(53.3, 22.2, 9.4, 3.8, 1.3, 0.90)),
            Row(
                name="VIMA",
                attention="cross",
                sizes={"paper": "vima-42m"},
                paper=(64.1, 47.6, 34.6, 29.2, 23.7, 1.99),
            ),
            Row(
                name="Flamingo",
                attention="cross",
                sizes={"paper": "flamingo-42m"},
                paper=(69.9, 53.2, 39.1, 31.2, 24.6, 2.18),
            ),
            Row(
                name="DT",
                attention="causal",
                sizes={"paper": "decision-transformer-44m"},
                paper=(74.1, 56.1, 42.0, 32.2, 25.6, 2.30),
            ),
            Row(
                name="Gato",
                attention="causal",
                sizes={"paper": "gato-44m"},
                paper=(77.3, 57.0, 44.4, 33.4, 26.1, 2.38),
            ),
            Row(
                name="Astra",
                attention="trajectory",
                sizes={"paper": "astra-38m"},
                paper=(89.7, 79.2, 65.8, 52.4, 42.3, 3.29),
            ),
        ),
        refused="CALVIN comes in a later version",
        reference="astra",
        paper_environment="CALVIN",
        notes=(
            "As printed. The rates of MDT sum to 1.505 (printed mean length: 1.54), those of MCIL to 0.319 (printed: "
            "0.31).",
        ),
    )

"""Table 6: four policies on Push-T, discrete actions; at CPU scale on human demonstrations too, with small policies.

The constants below are the frozen budget of the CPU scale, committed before the first result is seen. All rows predict
one action and see the present timestep alone. The demonstrations are those of Diffusion Policy, and their mirror
images.
"""

from dataclasses import replace

from astra.experiments.pusht import pusht_human_19m, small_policy, small_training
from astra.paper.table import Column, Demonstrations, Row, Settings, Table
from astra.policies.decoding import Decoding
from astra.suites.config import EvaluationConfig

UPDATES = 8_000
"""Of every run: 21 times through the demonstrations, which small policies overfit after a few thousand updates."""
MINUTES = 30.0
"""What so many updates of Astra take about, on one thread."""
TRIALS = 50
"""Episodes of 200 timesteps."""
MEASURING_MINUTES = 5.0
DECODING = Decoding(temperature=0.5)

DEMONSTRATIONS = Demonstrations(
    name="pusht-human",
    command="astra convert pusht-zarr pusht_cchi_v7_replay.zarr.tar data/pusht-human --mirror",
    needs="get Diffusion Policy's pusht_cchi_v7_replay.zarr (docs/results.md says where)",
)


def cpu() -> Settings:
    """What all rows share at CPU scale: about half an hour of one core for each run."""
    return Settings(
        world="Push-T",
        demonstrations=DEMONSTRATIONS,
        shared=replace(small_policy(), decoding=DECODING),
        training=replace(small_training(MINUTES), updates=UPDATES, max_minutes=None),
        suite="pusht",
        evaluation=EvaluationConfig(episodes=TRIALS, agents=("policy",)),
        minutes=MINUTES,
        measuring_minutes=MEASURING_MINUTES,
    )


def paper() -> Settings:
    """What all rows share at the paper's scale, as `pusht-human-19m` has it: a window of 50 timesteps, 30 trials."""
    experiment = pusht_human_19m()
    sizes = ("astra-19m", "gato-19m", "vima-26m", "diffusion-43m")
    return Settings(
        world="Push-T",
        demonstrations=DEMONSTRATIONS,
        shared=experiment.policy,
        trunks={size: {"positions": "relative"} for size in sizes},
        training=experiment.training,
        suite="pusht",
        evaluation=EvaluationConfig(episodes=30, agents=("policy",)),
        minutes=16.0,  # the upper end of what `python -m astra.profiling.cost` estimates
        measuring_minutes=5.0,
        device="H100",
    )


def table6() -> Table:
    """Table 6 of the paper, with the score of other libraries and the rate of success beside the paper's score."""
    return Table(
        name="table6",
        title="Push-T, discrete actions (%)",
        columns=(
            Column(name="score (coverage)", score="coverage"),
            Column(name="score (reward)", score="reward"),
            Column(name="success"),
        ),
        rows=(
            Row(
                name="Diffusion",
                attention="causal",
                sizes={"cpu": "diffusion-small", "paper": "diffusion-43m"},
                paper=(83.89,),
            ),
            Row(name="VIMA", attention="cross", sizes={"cpu": "vima-small", "paper": "vima-26m"}, paper=(91.09,)),
            Row(name="Gato", attention="causal", sizes={"cpu": "gato-small", "paper": "gato-19m"}, paper=(90.43,)),
            Row(
                name="Astra",
                attention="trajectory",
                sizes={"cpu": "astra-small", "paper": "astra-19m"},
                paper=(94.11,),
            ),
        ),
        settings={"cpu": cpu, "paper": paper},
        reference="astra",
        paper_world="Push-T",
        notes=(
            "The paper does not say on what it is trained, nor whether its score is coverage or its reward, "
            "min(coverage / 0.95, 1). An episode ends at 95 % coverage, so that coverage hardly exceeds 96 %.",
            "At CPU scale Diffusion acts in 10 of its 100 denoising steps, at the temperature that all rows have.",
        ),
    )

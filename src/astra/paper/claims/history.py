"""Does history pay? Four tables that decide it one after the other; the next is run only if the one before allows it.

All rows of a table have the same demonstrations, updates and batches, and learn from equally many timesteps. On Push-T
the loss counts the last timestep of each window, so that windows are as independent as single timesteps. The first two
tables are trained in float32, the others in bfloat16, the last one with Muon. The constants and bounds were committed
before the first run; the rule for a conclusion became stricter while `history-pusht` ran (docs/claims.md). Results:
results/claims/.
"""

from dataclasses import replace
from functools import partial

from astra.demonstrations.recipe import Demonstrations, collected
from astra.environments.pusht.suite import BLINKING, PushTDemonstrationOptions
from astra.environments.pusht.suite import SUITE as PUSHT
from astra.environments.tabletop.suite import SUITE as TABLETOP
from astra.environments.tabletop.suite import TabletopOptions
from astra.experiments.pusht import BLINKING_WINDOW, pusht_blinking, pusht_human
from astra.experiments.tabletop import LONGEST, SUCTION_NUMBERS, TOP, fast_training, small_policy
from astra.paper.question import Question
from astra.paper.table import RECOVERY, Column, Row, Settings, Table
from astra.paper.table6 import DEMONSTRATIONS as HUMAN
from astra.policies.astra import AstraConfig
from astra.suites.config import EvaluationConfig
from astra.tokenizers.actions import DiscreteActionsConfig
from astra.training.config import HELD_OUT_LOSS, TrainingConfig

TASKS = ("manipulate_old_neighbor", "pick_in_order_then_restore", "rearrange_then_restore", "follow_order")
"""Tasks of several steps, in which later steps depend on earlier ones."""
SLIPS = 0.2
"""Share of the episodes in which suction slips once, in demonstrations and in play."""
TABLETOP_DEMONSTRATIONS = 40_000
BLINKING_DEMONSTRATIONS = 2_000
NUMBERS = DiscreteActionsConfig(bins=256, token_frequencies=8)
"""Actions of Push-T whose past tokens are embedded as numbers."""
ONE_SEED = "One seed comes first. Three seeds are run only if it does not decide."
LOSS = Column(name="first-action loss", held_out=True)
REWARD = Column(name="score (reward)", score="reward")
SUCCESS = Column(name="success")

astra = partial(Row, attention="trajectory", sizes={"cpu": "astra-small"})


def _window(length: int, hidden: float, words: str = "") -> Row:
    """Return a row of Push-T with a window of so many timesteps, whose past actions are hidden with a probability."""
    return astra(
        name=f"window {length}{words}",
        policy_changes={"window": length, "drop_past_actions": hidden},
        training_changes={"timesteps": length},
    )


def _pusht(
    demonstrations: Demonstrations,
    policy: AstraConfig,
    training: TrainingConfig,
    updates: int,
    minutes: float,
    episodes: int = 100,
) -> Settings:
    """Return the settings of a table on Push-T; in all rows attention falls with age at first."""
    chunks = {name: getattr(policy, name) for name in ("chunk_size", "chunk_sample", "reference_state")}
    return Settings(
        environment="Push-T",
        demonstrations=demonstrations,
        shared=replace(policy, window=1, actions=NUMBERS),
        trunks={"astra-small": {"positions": "recency", **chunks}},
        training=replace(training, timesteps=1, updates=updates, last_timestep_only=True),
        suite=PUSHT.name,
        evaluation=EvaluationConfig(episodes=episodes, agents=("policy",), videos=0),
        minutes=minutes,
        evaluation_minutes=0.08 * episodes,
    )


def history_loss() -> Table:
    """Return the first table on history: is a window of four timesteps harmless to the loss on Push-T?"""
    human = pusht_human()
    return Table(
        name="history-loss",
        parent="claims",
        title="Push-T, human demonstrations, 1,500 updates: does a window of four timesteps harm the loss?",
        columns=(LOSS, REWARD, SUCCESS),
        rows=(astra(name="window 1"), _window(4, 1.0, ", past actions never read")),
        settings={"cpu": lambda: _pusht(HUMAN, human.policy, human.training, 1_500, 8.0, episodes=20)},
        refused="it is a test of small policies",
        reference="window-1",
        questions=(
            Question(
                text="Is a window of four as good as one of one?",
                row="window-4-past-actions-never-read",
                column=LOSS.name,
                at_most=0.03,
            ),
        ),
        notes=("If the answer is no, the cause is looked for before any other table on history is run.",),
    )


def history_pusht() -> Table:
    """Return the second table on history: do two timesteps beat one on Push-T, with past actions read or not?"""
    human = pusht_human()
    training = replace(human.training, validation_every=250, keep_best=HELD_OUT_LOSS)
    arms = {", actions read": 0.0, ", actions read half of the time": 0.5, ", actions never read": 1.0}
    rows = tuple(_window(2, hidden, words) for words, hidden in arms.items())
    return Table(
        name="history-pusht",
        parent="claims",
        title="Push-T, human demonstrations, 2,500 updates: do two timesteps beat one?",
        columns=(LOSS, REWARD, SUCCESS),
        rows=(astra(name="window 1"), *rows),
        settings={"cpu": lambda: _pusht(HUMAN, human.policy, training, 2_500, 13.0)},
        refused="it is a test of small policies",
        reference="window-1",
        questions=(
            *(
                Question(text=f"Do two timesteps pay in loss{words}?", row=row.key, column=LOSS.name, at_most=-0.02)
                for row, words in zip(rows, arms, strict=True)
            ),
            *(
                Question(text=f"Do two timesteps pay in reward{words}?", row=row.key, column=REWARD.name, at_least=3.0)
                for row, words in zip(rows, arms, strict=True)
            ),
        ),
        notes=(
            "The loss decides whether a history can help, and the reward whether it does: past actions that are read, "
            "and past positions of the agent, can be copied, which lowers the loss alone. Three seeds of 100 episodes "
            "show differences in reward of 10 points and more. All rows are measured at their own checkpoint of the "
            "lowest loss on held-out demonstrations.",
        ),
    )


def history_blinking() -> Table:
    """Return the third table on history: does it pay where the T is hidden half of the time?"""
    blinking = pusht_blinking()
    options = PushTDemonstrationOptions(hidden=BLINKING)
    demonstrations = collected(PUSHT, blinking.dataset.name, BLINKING_DEMONSTRATIONS, options=options)
    row, training = _window(BLINKING_WINDOW, 1.0), replace(blinking.training, precision="bfloat16")
    return Table(
        name="history-blinking",
        parent="claims",
        title="Push-T whose T is hidden half of the time, 4,000 updates: does memory pay?",
        columns=(REWARD, SUCCESS, LOSS),
        rows=(astra(name="window 1"), row),
        settings={"cpu": lambda: _pusht(demonstrations, blinking.policy, training, 4_000, 25.0)},
        refused="it is a test of small policies",
        reference="window-1",
        questions=(
            Question(
                text="Does history pay where it must?",
                row=row.key,
                column=REWARD.name,
                at_least=15.0,
                after_one=(0.0, 30.0),
            ),
        ),
        notes=(ONE_SEED,),
    )


def history_tabletop() -> Table:
    """Return the fourth table on history: does it pay in tasks of several steps, and does the policy recover?"""
    return Table(
        name="history-tabletop",
        parent="claims",
        title="Tabletop, four tasks of several steps, 5,000 updates: does the whole history pay?",
        columns=(Column(name="L1", group="L1"), Column(name=RECOVERY, group="L1", score=RECOVERY), LOSS),
        rows=(
            astra(name="window 1", policy_changes={"window": 1}),
            astra(name="whole history"),
        ),
        settings={"cpu": tabletop_with_slips},
        refused="it is a test of small policies",
        reference="window-1",
        questions=(
            Question(
                text="Does the whole history pay?",
                row="whole-history",
                column="L1",
                at_least=20.0,
                after_one=(0.0, 32.0),
            ),
            Question(
                text="Does the policy recover from a miss?",
                row="whole-history",
                column=RECOVERY,
                difference=False,
                at_least=30.0,
            ),
        ),
        notes=(
            ONE_SEED,
            f"Suction slips once in {SLIPS:.0%} of the episodes, in demonstrations and in play, except in "
            "follow_order, which a step without progress ends. Misses are slips and the policy's own.",
        ),
    )


def tabletop_with_slips() -> Settings:
    """Return the settings of the tables on tasks of several steps."""
    return Settings(
        environment="the tabletop, which imitates VIMA-Bench",
        demonstrations=collected(
            TABLETOP, "tabletop-history", TABLETOP_DEMONSTRATIONS, TASKS, TabletopOptions(slips=SLIPS)
        ),
        shared=replace(small_policy(), actions=SUCTION_NUMBERS),
        trunks={"astra-small": {"layers": 3, "positions": "recency"}},
        training=fast_training(5_000, timesteps=LONGEST + 1, parts=4),
        suite=TABLETOP.name,
        options={"slips": SLIPS},
        evaluation=EvaluationConfig(episodes=100, agents=("policy",), levels=("L1",), tasks=TASKS, videos=0),
        observations=TOP,
        stride=LONGEST + 1,  # a slip adds a step to the longest demonstration
        minutes=40.0,
        evaluation_minutes=5.0,
    )

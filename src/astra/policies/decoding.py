"""How a trained policy acts."""

from dataclasses import dataclass
from typing import Literal

from astra.storage.numbers import NotNegative, Tokens, check_numbers


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """How a trained policy acts; can be changed after training."""

    temperature: NotNegative = 0.0
    """Sampling temperature of the action bins; 0 takes one value of each distribution, without chance."""
    bin_value: Literal["mode", "mean"] = "mode"
    """Value that temperature 0 takes: the most likely bin, or the mean of all bins. Where demonstrations are noisy, the
    most likely bin jumps from timestep to timestep and the mean does not; where there are two ways to go on, the mean
    may be neither. Dimensions that are decoded one after the other see the most likely bins of those before. Dimensions
    of two values always take the likelier one. Deviation: the paper does not say."""
    n_action_steps: Tokens = 1
    """Actions of a chunk that are executed before the next chunk is predicted; at most the chunk size."""

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: if one is out of range; the message names the field.
        """
        check_numbers(self, "policy.decoding")

    def check(self, chunk_size: int) -> None:
        """Check the options against the chunk size of a policy.

        Raises:
            ValueError: if more actions are to be executed than are predicted, or a mean is to be sampled.
        """
        if self.n_action_steps > chunk_size:
            raise ValueError(
                f"decoding.n_action_steps must lie between 1 and the chunk size {chunk_size}, got {self.n_action_steps}"
            )
        if self.temperature > 0 and self.bin_value == "mean":
            raise ValueError(
                f"decoding.bin_value=mean needs temperature 0: a temperature of {self.temperature} samples from the "
                f"bins"
            )

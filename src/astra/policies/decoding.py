"""How a trained policy acts; may be changed after training."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """How a trained policy acts; may be changed after training."""

    temperature: float = 0.0
    """0 takes the most likely bin; above 0 bins are drawn from the distribution at this temperature."""
    n_action_steps: int = 1
    """Timesteps for which a predicted plan is followed before the next one is made; at most the horizon."""

    def check(self, chunk_size: int) -> None:
        """Check against what a policy predicts.

        Raises:
            ValueError: if a plan is not as long as it is to be followed, or the temperature is negative.
        """
        if not 1 <= self.n_action_steps <= chunk_size:
            raise ValueError(
                f"decoding.execute must lie between 1 and the horizon {chunk_size}, got {self.n_action_steps}"
            )
        if self.temperature < 0:
            raise ValueError(f"decoding.temperature must not be negative, got {self.temperature}")

"""Contrastive dynamics learning (CDL): tell trajectories that obey the environment's dynamics from those that do not.

    anchor      p | s_1 a_1 | s_2  a_2  | s_3 a_3
    positive    p | s^1 a^1 | s^2  a^2  | s^3 a^3      the anchor, augmented
    negative    p | s_1 a_1 | s'_2 a_2  | s_3 a''_3    some segments of two other trajectories, at the same timesteps

All are encoded in one pass without action queries; the action tokens of the last timestep are pooled, and InfoNCE pulls
anchor and positive together and pushes negatives away. Source: section 3.3, Figure 4, Equation 2.
"""

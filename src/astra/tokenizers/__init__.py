"""Trajectory to tokens, one file per modality; no tokenizer adds positions, that is the policy's work.

    language        instruction        -> L prompt tokens and their validity   (words, text_encoders)
    states          one timestep       -> M state tokens                       (proprioception, images)
    actions         one action         -> N action tokens

Every configuration has `build(spec, statistics, width)`; every module says in `description` which weights it uses.
"""

"""Tokenizers: one file per modality. They add no position embeddings; the policy does.

    language        instruction        -> L prompt tokens and their validity   (words, text_encoders)
    states          one timestep       -> M state tokens                       (proprioception, vision)
    actions         one action         -> N action tokens

Every configuration has `build(spec, statistics, width)`; `description` of every module names its weights.
"""

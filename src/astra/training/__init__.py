"""Training: windows of trajectories in, a run folder of checkpoints and metrics out.

    config        configuration of training            train         the loop
    setup         what is trained, and by whom         objective     the loss that is minimized
    optimizer     AdamW, Muon, the learning rate       ema           moving average of the weights
    validation    metrics on held-out episodes         budget        length of a run
    run_folder    config.json and checkpoints          run_state     content of a checkpoint
    run_log       progress bar, metrics, trackers      sharding      a run split over processes (FSDP)
    init_from     initial weights of another policy    weight_names  names by which weights are matched
    rollouts      rollouts between updates             room          whether weights and batches fit into memory

The caller opens the dataset, and may pass a function that evaluates in a simulator: nothing here knows a file format or
a simulator.
"""

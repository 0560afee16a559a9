"""Training: windows of trajectories to a run folder of checkpoints and metrics.

    train            the loop, top to bottom, and its configuration
    objective        what is minimized                 optimizer      AdamW, decay groups, learning rate
    moving_average   the weights that are kept         validation     the loss on held-out episodes
    budget           when the run ends                 interruption   Ctrl-C and SIGTERM
    run_folder       which run, which checkpoints      run_state      what one checkpoint holds
    state_noise      noise on state vectors            object_order   objects in an order drawn anew
    sharding         a run cut over many processes     allocator      memory that is kept between updates
    run_log          progress bar, metrics, trackers

The caller opens the windows and may inject rollouts: nothing here knows a file format or a simulator.
"""

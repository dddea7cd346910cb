-- What schema 4 added; never changed again.
CREATE TABLE training_sample_3 AS SELECT * FROM training_sample;

DROP TABLE training_sample;

ALTER TABLE run ADD COLUMN outcome BIGINT DEFAULT '0' NOT NULL;

ALTER TABLE run ADD COLUMN detail TEXT DEFAULT '' NOT NULL;

ALTER TABLE run ADD COLUMN samples BIGINT;

ALTER TABLE run ADD COLUMN step_number BIGINT;

ALTER TABLE run ADD COLUMN total_steps BIGINT;

ALTER TABLE run ADD COLUMN ranks BIGINT;

ALTER TABLE run ADD COLUMN git_commit TEXT DEFAULT '' NOT NULL;

ALTER TABLE run ADD COLUMN command TEXT DEFAULT '' NOT NULL;

ALTER TABLE run ADD COLUMN attached BIGINT DEFAULT '0' NOT NULL;

ALTER TABLE workload_day ADD COLUMN attached_obs_ms BIGINT;

ALTER TABLE workload_day ADD COLUMN rank_steps_sum BIGINT;

ALTER TABLE workload_day ADD COLUMN micro_batches_sum BIGINT;

ALTER TABLE workload_day ADD COLUMN attached_ms_sum BIGINT;

ALTER TABLE workload_day ADD COLUMN starting_ms_sum BIGINT;

ALTER TABLE workload_day ADD COLUMN padding_obs_ms BIGINT;

ALTER TABLE workload_day ADD COLUMN counted_tokens_sum BIGINT;

ALTER TABLE workload_day ADD COLUMN happened_obs_ms BIGINT;

ALTER TABLE workload_day ADD COLUMN compilations_sum BIGINT;

ALTER TABLE workload_day ADD COLUMN checkpoints_sum BIGINT;

ALTER TABLE workload_day ADD COLUMN retries_obs_ms BIGINT;

ALTER TABLE workload_day ADD COLUMN alloc_retries_sum BIGINT;

ALTER TABLE workload_day ADD COLUMN out_of_memory_sum BIGINT;

ALTER TABLE workload_day ADD COLUMN allocated_peak_obs_ms BIGINT;

ALTER TABLE workload_day ADD COLUMN allocated_peak_mib_ms BIGINT;

ALTER TABLE workload_day ADD COLUMN allocated_peak_mib_max BIGINT;

ALTER TABLE workload_day ADD COLUMN inactive_split_obs_ms BIGINT;

ALTER TABLE workload_day ADD COLUMN inactive_split_mib_ms BIGINT;

ALTER TABLE workload_day ADD COLUMN probe_obs_ms BIGINT;

ALTER TABLE workload_day ADD COLUMN probed_steps_sum BIGINT;

ALTER TABLE workload_day ADD COLUMN drained_steps_sum BIGINT;

ALTER TABLE workload_day ADD COLUMN gpu_idle_data_ms_sum BIGINT;

ALTER TABLE workload_day ADD COLUMN gpu_idle_checkpoint_ms_sum BIGINT;

ALTER TABLE workload_day ADD COLUMN gpu_idle_eval_ms_sum BIGINT;

ALTER TABLE workload_day ADD COLUMN gpu_idle_other_ms_sum BIGINT;

ALTER TABLE workload_hour ADD COLUMN attached_obs_ms BIGINT;

ALTER TABLE workload_hour ADD COLUMN rank_steps_sum BIGINT;

ALTER TABLE workload_hour ADD COLUMN micro_batches_sum BIGINT;

ALTER TABLE workload_hour ADD COLUMN attached_ms_sum BIGINT;

ALTER TABLE workload_hour ADD COLUMN starting_ms_sum BIGINT;

ALTER TABLE workload_hour ADD COLUMN padding_obs_ms BIGINT;

ALTER TABLE workload_hour ADD COLUMN counted_tokens_sum BIGINT;

ALTER TABLE workload_hour ADD COLUMN happened_obs_ms BIGINT;

ALTER TABLE workload_hour ADD COLUMN compilations_sum BIGINT;

ALTER TABLE workload_hour ADD COLUMN checkpoints_sum BIGINT;

ALTER TABLE workload_hour ADD COLUMN retries_obs_ms BIGINT;

ALTER TABLE workload_hour ADD COLUMN alloc_retries_sum BIGINT;

ALTER TABLE workload_hour ADD COLUMN out_of_memory_sum BIGINT;

ALTER TABLE workload_hour ADD COLUMN allocated_peak_obs_ms BIGINT;

ALTER TABLE workload_hour ADD COLUMN allocated_peak_mib_ms BIGINT;

ALTER TABLE workload_hour ADD COLUMN allocated_peak_mib_max BIGINT;

ALTER TABLE workload_hour ADD COLUMN inactive_split_obs_ms BIGINT;

ALTER TABLE workload_hour ADD COLUMN inactive_split_mib_ms BIGINT;

ALTER TABLE workload_hour ADD COLUMN probe_obs_ms BIGINT;

ALTER TABLE workload_hour ADD COLUMN probed_steps_sum BIGINT;

ALTER TABLE workload_hour ADD COLUMN drained_steps_sum BIGINT;

ALTER TABLE workload_hour ADD COLUMN gpu_idle_data_ms_sum BIGINT;

ALTER TABLE workload_hour ADD COLUMN gpu_idle_checkpoint_ms_sum BIGINT;

ALTER TABLE workload_hour ADD COLUMN gpu_idle_eval_ms_sum BIGINT;

ALTER TABLE workload_hour ADD COLUMN gpu_idle_other_ms_sum BIGINT;

ALTER TABLE workload_minute ADD COLUMN attached_obs_ms BIGINT;

ALTER TABLE workload_minute ADD COLUMN rank_steps_sum BIGINT;

ALTER TABLE workload_minute ADD COLUMN micro_batches_sum BIGINT;

ALTER TABLE workload_minute ADD COLUMN attached_ms_sum BIGINT;

ALTER TABLE workload_minute ADD COLUMN starting_ms_sum BIGINT;

ALTER TABLE workload_minute ADD COLUMN padding_obs_ms BIGINT;

ALTER TABLE workload_minute ADD COLUMN counted_tokens_sum BIGINT;

ALTER TABLE workload_minute ADD COLUMN happened_obs_ms BIGINT;

ALTER TABLE workload_minute ADD COLUMN compilations_sum BIGINT;

ALTER TABLE workload_minute ADD COLUMN checkpoints_sum BIGINT;

ALTER TABLE workload_minute ADD COLUMN retries_obs_ms BIGINT;

ALTER TABLE workload_minute ADD COLUMN alloc_retries_sum BIGINT;

ALTER TABLE workload_minute ADD COLUMN out_of_memory_sum BIGINT;

ALTER TABLE workload_minute ADD COLUMN allocated_peak_obs_ms BIGINT;

ALTER TABLE workload_minute ADD COLUMN allocated_peak_mib_ms BIGINT;

ALTER TABLE workload_minute ADD COLUMN allocated_peak_mib_max BIGINT;

ALTER TABLE workload_minute ADD COLUMN inactive_split_obs_ms BIGINT;

ALTER TABLE workload_minute ADD COLUMN inactive_split_mib_ms BIGINT;

ALTER TABLE workload_minute ADD COLUMN probe_obs_ms BIGINT;

ALTER TABLE workload_minute ADD COLUMN probed_steps_sum BIGINT;

ALTER TABLE workload_minute ADD COLUMN drained_steps_sum BIGINT;

ALTER TABLE workload_minute ADD COLUMN gpu_idle_data_ms_sum BIGINT;

ALTER TABLE workload_minute ADD COLUMN gpu_idle_checkpoint_ms_sum BIGINT;

ALTER TABLE workload_minute ADD COLUMN gpu_idle_eval_ms_sum BIGINT;

ALTER TABLE workload_minute ADD COLUMN gpu_idle_other_ms_sum BIGINT;

CREATE TABLE trainer (
    proc_id BIGINT NOT NULL,
    workload_id BIGINT NOT NULL,
    source BIGINT NOT NULL,
    attached_ms BIGINT NOT NULL,
    detail TEXT DEFAULT '' NOT NULL,
    hint TEXT DEFAULT '' NOT NULL,
    framework TEXT DEFAULT '' NOT NULL,
    agent_version TEXT DEFAULT '' NOT NULL,
    rank BIGINT,
    world BIGINT,
    local_rank BIGINT,
    node_rank BIGINT,
    data_parallel BIGINT,
    data_parallel_source TEXT DEFAULT '' NOT NULL,
    replicas BIGINT DEFAULT '1' NOT NULL,
    tokens_kind TEXT DEFAULT '' NOT NULL,
    model TEXT DEFAULT '' NOT NULL,
    parameters BIGINT,
    trainable_parameters BIGINT,
    layers BIGINT,
    heads BIGINT,
    head_width BIGINT,
    sequence_tokens BIGINT,
    flops_per_token DOUBLE PRECISION,
    flops_formula TEXT DEFAULT '' NOT NULL,
    precision TEXT DEFAULT '' NOT NULL,
    gpu_uuid TEXT DEFAULT '' NOT NULL,
    total_steps BIGINT,
    probe BIGINT DEFAULT '0' NOT NULL,
    first_step_ms BIGINT,
    ended_ms BIGINT,
    outcome BIGINT DEFAULT '0' NOT NULL,
    first_ms BIGINT NOT NULL,
    last_ms BIGINT NOT NULL,
    CONSTRAINT pk_trainer PRIMARY KEY (proc_id),
    CONSTRAINT fk_trainer_proc_id FOREIGN KEY(proc_id) REFERENCES process (proc_id),
    CONSTRAINT fk_trainer_workload_id FOREIGN KEY(workload_id) REFERENCES workload (workload_id)
);

CREATE TABLE training_sample (
    tick_id BIGINT NOT NULL,
    proc_id BIGINT NOT NULL,
    workload_id BIGINT NOT NULL,
    dt_ms BIGINT NOT NULL,
    steps BIGINT,
    tokens BIGINT,
    nonpad_tokens BIGINT,
    eval_tokens BIGINT,
    samples BIGINT,
    data_wait_ms BIGINT,
    forward_ms BIGINT,
    backward_ms BIGINT,
    optimizer_ms BIGINT,
    checkpoint_ms BIGINT,
    eval_ms BIGINT,
    compile_ms BIGINT,
    other_ms BIGINT,
    allocated_mib BIGINT,
    reserved_mib BIGINT,
    loss_micro BIGINT,
    rank_steps BIGINT,
    micro_batches BIGINT,
    attached_ms BIGINT,
    starting_ms BIGINT,
    counted_tokens BIGINT,
    compilations BIGINT,
    checkpoints BIGINT,
    alloc_retries BIGINT,
    out_of_memory BIGINT,
    allocated_peak_mib BIGINT,
    inactive_split_mib BIGINT,
    probed_steps BIGINT,
    drained_steps BIGINT,
    gpu_idle_data_ms BIGINT,
    gpu_idle_checkpoint_ms BIGINT,
    gpu_idle_eval_ms BIGINT,
    gpu_idle_other_ms BIGINT,
    phase BIGINT,
    phase_age_ms BIGINT,
    step_number BIGINT,
    CONSTRAINT pk_training_sample PRIMARY KEY (tick_id, proc_id)
);

CREATE UNIQUE INDEX ix_run_workload_id ON run (workload_id);

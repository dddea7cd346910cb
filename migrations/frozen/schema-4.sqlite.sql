-- What schema 4 added; never changed again.
CREATE TABLE training_sample_3 AS SELECT * FROM training_sample;

DROP TABLE training_sample;

ALTER TABLE run ADD COLUMN outcome INTEGER DEFAULT '0' NOT NULL;

ALTER TABLE run ADD COLUMN detail TEXT DEFAULT '' NOT NULL;

ALTER TABLE run ADD COLUMN samples INTEGER;

ALTER TABLE run ADD COLUMN step_number INTEGER;

ALTER TABLE run ADD COLUMN total_steps INTEGER;

ALTER TABLE run ADD COLUMN ranks INTEGER;

ALTER TABLE run ADD COLUMN git_commit TEXT DEFAULT '' NOT NULL;

ALTER TABLE run ADD COLUMN command TEXT DEFAULT '' NOT NULL;

ALTER TABLE run ADD COLUMN attached INTEGER DEFAULT '0' NOT NULL;

ALTER TABLE workload_day ADD COLUMN attached_obs_ms INTEGER;

ALTER TABLE workload_day ADD COLUMN rank_steps_sum INTEGER;

ALTER TABLE workload_day ADD COLUMN micro_batches_sum INTEGER;

ALTER TABLE workload_day ADD COLUMN attached_ms_sum INTEGER;

ALTER TABLE workload_day ADD COLUMN starting_ms_sum INTEGER;

ALTER TABLE workload_day ADD COLUMN padding_obs_ms INTEGER;

ALTER TABLE workload_day ADD COLUMN counted_tokens_sum INTEGER;

ALTER TABLE workload_day ADD COLUMN happened_obs_ms INTEGER;

ALTER TABLE workload_day ADD COLUMN compilations_sum INTEGER;

ALTER TABLE workload_day ADD COLUMN checkpoints_sum INTEGER;

ALTER TABLE workload_day ADD COLUMN retries_obs_ms INTEGER;

ALTER TABLE workload_day ADD COLUMN alloc_retries_sum INTEGER;

ALTER TABLE workload_day ADD COLUMN out_of_memory_sum INTEGER;

ALTER TABLE workload_day ADD COLUMN allocated_peak_obs_ms INTEGER;

ALTER TABLE workload_day ADD COLUMN allocated_peak_mib_ms INTEGER;

ALTER TABLE workload_day ADD COLUMN allocated_peak_mib_max INTEGER;

ALTER TABLE workload_day ADD COLUMN inactive_split_obs_ms INTEGER;

ALTER TABLE workload_day ADD COLUMN inactive_split_mib_ms INTEGER;

ALTER TABLE workload_day ADD COLUMN probe_obs_ms INTEGER;

ALTER TABLE workload_day ADD COLUMN probed_steps_sum INTEGER;

ALTER TABLE workload_day ADD COLUMN drained_steps_sum INTEGER;

ALTER TABLE workload_day ADD COLUMN gpu_idle_data_ms_sum INTEGER;

ALTER TABLE workload_day ADD COLUMN gpu_idle_checkpoint_ms_sum INTEGER;

ALTER TABLE workload_day ADD COLUMN gpu_idle_eval_ms_sum INTEGER;

ALTER TABLE workload_day ADD COLUMN gpu_idle_other_ms_sum INTEGER;

ALTER TABLE workload_hour ADD COLUMN attached_obs_ms INTEGER;

ALTER TABLE workload_hour ADD COLUMN rank_steps_sum INTEGER;

ALTER TABLE workload_hour ADD COLUMN micro_batches_sum INTEGER;

ALTER TABLE workload_hour ADD COLUMN attached_ms_sum INTEGER;

ALTER TABLE workload_hour ADD COLUMN starting_ms_sum INTEGER;

ALTER TABLE workload_hour ADD COLUMN padding_obs_ms INTEGER;

ALTER TABLE workload_hour ADD COLUMN counted_tokens_sum INTEGER;

ALTER TABLE workload_hour ADD COLUMN happened_obs_ms INTEGER;

ALTER TABLE workload_hour ADD COLUMN compilations_sum INTEGER;

ALTER TABLE workload_hour ADD COLUMN checkpoints_sum INTEGER;

ALTER TABLE workload_hour ADD COLUMN retries_obs_ms INTEGER;

ALTER TABLE workload_hour ADD COLUMN alloc_retries_sum INTEGER;

ALTER TABLE workload_hour ADD COLUMN out_of_memory_sum INTEGER;

ALTER TABLE workload_hour ADD COLUMN allocated_peak_obs_ms INTEGER;

ALTER TABLE workload_hour ADD COLUMN allocated_peak_mib_ms INTEGER;

ALTER TABLE workload_hour ADD COLUMN allocated_peak_mib_max INTEGER;

ALTER TABLE workload_hour ADD COLUMN inactive_split_obs_ms INTEGER;

ALTER TABLE workload_hour ADD COLUMN inactive_split_mib_ms INTEGER;

ALTER TABLE workload_hour ADD COLUMN probe_obs_ms INTEGER;

ALTER TABLE workload_hour ADD COLUMN probed_steps_sum INTEGER;

ALTER TABLE workload_hour ADD COLUMN drained_steps_sum INTEGER;

ALTER TABLE workload_hour ADD COLUMN gpu_idle_data_ms_sum INTEGER;

ALTER TABLE workload_hour ADD COLUMN gpu_idle_checkpoint_ms_sum INTEGER;

ALTER TABLE workload_hour ADD COLUMN gpu_idle_eval_ms_sum INTEGER;

ALTER TABLE workload_hour ADD COLUMN gpu_idle_other_ms_sum INTEGER;

ALTER TABLE workload_minute ADD COLUMN attached_obs_ms INTEGER;

ALTER TABLE workload_minute ADD COLUMN rank_steps_sum INTEGER;

ALTER TABLE workload_minute ADD COLUMN micro_batches_sum INTEGER;

ALTER TABLE workload_minute ADD COLUMN attached_ms_sum INTEGER;

ALTER TABLE workload_minute ADD COLUMN starting_ms_sum INTEGER;

ALTER TABLE workload_minute ADD COLUMN padding_obs_ms INTEGER;

ALTER TABLE workload_minute ADD COLUMN counted_tokens_sum INTEGER;

ALTER TABLE workload_minute ADD COLUMN happened_obs_ms INTEGER;

ALTER TABLE workload_minute ADD COLUMN compilations_sum INTEGER;

ALTER TABLE workload_minute ADD COLUMN checkpoints_sum INTEGER;

ALTER TABLE workload_minute ADD COLUMN retries_obs_ms INTEGER;

ALTER TABLE workload_minute ADD COLUMN alloc_retries_sum INTEGER;

ALTER TABLE workload_minute ADD COLUMN out_of_memory_sum INTEGER;

ALTER TABLE workload_minute ADD COLUMN allocated_peak_obs_ms INTEGER;

ALTER TABLE workload_minute ADD COLUMN allocated_peak_mib_ms INTEGER;

ALTER TABLE workload_minute ADD COLUMN allocated_peak_mib_max INTEGER;

ALTER TABLE workload_minute ADD COLUMN inactive_split_obs_ms INTEGER;

ALTER TABLE workload_minute ADD COLUMN inactive_split_mib_ms INTEGER;

ALTER TABLE workload_minute ADD COLUMN probe_obs_ms INTEGER;

ALTER TABLE workload_minute ADD COLUMN probed_steps_sum INTEGER;

ALTER TABLE workload_minute ADD COLUMN drained_steps_sum INTEGER;

ALTER TABLE workload_minute ADD COLUMN gpu_idle_data_ms_sum INTEGER;

ALTER TABLE workload_minute ADD COLUMN gpu_idle_checkpoint_ms_sum INTEGER;

ALTER TABLE workload_minute ADD COLUMN gpu_idle_eval_ms_sum INTEGER;

ALTER TABLE workload_minute ADD COLUMN gpu_idle_other_ms_sum INTEGER;

CREATE TABLE trainer (
    proc_id INTEGER NOT NULL,
    workload_id INTEGER NOT NULL,
    source INTEGER NOT NULL,
    attached_ms INTEGER NOT NULL,
    detail TEXT DEFAULT '' NOT NULL,
    hint TEXT DEFAULT '' NOT NULL,
    framework TEXT DEFAULT '' NOT NULL,
    agent_version TEXT DEFAULT '' NOT NULL,
    rank INTEGER,
    world INTEGER,
    local_rank INTEGER,
    node_rank INTEGER,
    data_parallel INTEGER,
    data_parallel_source TEXT DEFAULT '' NOT NULL,
    replicas INTEGER DEFAULT '1' NOT NULL,
    tokens_kind TEXT DEFAULT '' NOT NULL,
    model TEXT DEFAULT '' NOT NULL,
    parameters INTEGER,
    trainable_parameters INTEGER,
    layers INTEGER,
    heads INTEGER,
    head_width INTEGER,
    sequence_tokens INTEGER,
    flops_per_token DOUBLE,
    flops_formula TEXT DEFAULT '' NOT NULL,
    precision TEXT DEFAULT '' NOT NULL,
    gpu_uuid TEXT DEFAULT '' NOT NULL,
    total_steps INTEGER,
    probe INTEGER DEFAULT '0' NOT NULL,
    first_step_ms INTEGER,
    ended_ms INTEGER,
    outcome INTEGER DEFAULT '0' NOT NULL,
    first_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    CONSTRAINT pk_trainer PRIMARY KEY (proc_id),
    CONSTRAINT fk_trainer_proc_id FOREIGN KEY(proc_id) REFERENCES process (proc_id),
    CONSTRAINT fk_trainer_workload_id FOREIGN KEY(workload_id) REFERENCES workload (workload_id)
);

CREATE TABLE training_sample (
    tick_id INTEGER NOT NULL,
    proc_id INTEGER NOT NULL,
    workload_id INTEGER NOT NULL,
    dt_ms INTEGER NOT NULL,
    steps INTEGER,
    tokens INTEGER,
    nonpad_tokens INTEGER,
    eval_tokens INTEGER,
    samples INTEGER,
    data_wait_ms INTEGER,
    forward_ms INTEGER,
    backward_ms INTEGER,
    optimizer_ms INTEGER,
    checkpoint_ms INTEGER,
    eval_ms INTEGER,
    compile_ms INTEGER,
    other_ms INTEGER,
    allocated_mib INTEGER,
    reserved_mib INTEGER,
    loss_micro INTEGER,
    rank_steps INTEGER,
    micro_batches INTEGER,
    attached_ms INTEGER,
    starting_ms INTEGER,
    counted_tokens INTEGER,
    compilations INTEGER,
    checkpoints INTEGER,
    alloc_retries INTEGER,
    out_of_memory INTEGER,
    allocated_peak_mib INTEGER,
    inactive_split_mib INTEGER,
    probed_steps INTEGER,
    drained_steps INTEGER,
    gpu_idle_data_ms INTEGER,
    gpu_idle_checkpoint_ms INTEGER,
    gpu_idle_eval_ms INTEGER,
    gpu_idle_other_ms INTEGER,
    phase INTEGER,
    phase_age_ms INTEGER,
    step_number INTEGER,
    CONSTRAINT pk_training_sample PRIMARY KEY (tick_id, proc_id)
)
 WITHOUT ROWID;

CREATE UNIQUE INDEX ix_run_workload_id ON run (workload_id);

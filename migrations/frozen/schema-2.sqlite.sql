-- What schema 2 added; never changed again.
ALTER TABLE host ADD COLUMN timezone TEXT DEFAULT '' NOT NULL;

ALTER TABLE host ADD COLUMN hour_offset_seconds INTEGER DEFAULT '0' NOT NULL;

CREATE TABLE gap_energy (
    host_id INTEGER NOT NULL,
    gpu_id INTEGER NOT NULL,
    t0_ms INTEGER NOT NULL,
    energy_mj INTEGER NOT NULL,
    CONSTRAINT pk_gap_energy PRIMARY KEY (host_id, t0_ms, gpu_id)
)
 WITHOUT ROWID;

CREATE TABLE gpu_day (
    t INTEGER NOT NULL,
    gpu_id INTEGER NOT NULL,
    obs_ms INTEGER NOT NULL,
    n INTEGER NOT NULL,
    quiet_ms INTEGER NOT NULL,
    quiet_known_ms INTEGER NOT NULL,
    context_ms INTEGER NOT NULL,
    context_known_ms INTEGER NOT NULL,
    quiet_context_ms INTEGER NOT NULL,
    unavailable_ms INTEGER NOT NULL,
    throttled_ms INTEGER NOT NULL,
    energy_used_mj INTEGER NOT NULL,
    quiet_energy_mj INTEGER NOT NULL,
    energy_src INTEGER NOT NULL,
    utilization_obs_ms INTEGER,
    utilization_pm_ms INTEGER,
    utilization_pm_max INTEGER,
    memory_utilization_pm_ms INTEGER,
    codec_obs_ms INTEGER,
    encoder_pm_ms INTEGER,
    decoder_pm_ms INTEGER,
    gpm_obs_ms INTEGER,
    graphics_active_pm_ms INTEGER,
    sm_active_pm_ms INTEGER,
    sm_occupancy_pm_ms INTEGER,
    tensor_active_pm_ms INTEGER,
    dram_active_pm_ms INTEGER,
    fp64_active_pm_ms INTEGER,
    fp32_active_pm_ms INTEGER,
    fp16_active_pm_ms INTEGER,
    memory_obs_ms INTEGER,
    memory_used_mib_ms INTEGER,
    memory_used_mib_max INTEGER,
    power_obs_ms INTEGER,
    power_mw_ms INTEGER,
    power_mw_max INTEGER,
    power_limit_obs_ms INTEGER,
    power_limit_mw_ms INTEGER,
    energy_obs_ms INTEGER,
    energy_mj_sum INTEGER,
    temperature_obs_ms INTEGER,
    temperature_c_ms INTEGER,
    temperature_c_max INTEGER,
    memory_temperature_obs_ms INTEGER,
    memory_temperature_c_ms INTEGER,
    memory_temperature_c_max INTEGER,
    clock_obs_ms INTEGER,
    sm_clock_mhz_ms INTEGER,
    sm_clock_mhz_min INTEGER,
    memory_clock_mhz_ms INTEGER,
    pcie_obs_ms INTEGER,
    pcie_rx_kib_sum INTEGER,
    pcie_tx_kib_sum INTEGER,
    nvlink_obs_ms INTEGER,
    nvlink_rx_kib_sum INTEGER,
    nvlink_tx_kib_sum INTEGER,
    reasons_obs_ms INTEGER,
    throttle_obs_ms INTEGER,
    power_throttled_ms_sum INTEGER,
    thermal_throttled_ms_sum INTEGER,
    CONSTRAINT pk_gpu_day PRIMARY KEY (t, gpu_id)
)
 WITHOUT ROWID;

CREATE TABLE hist_day (
    t INTEGER NOT NULL,
    entity INTEGER NOT NULL,
    entity_id INTEGER NOT NULL,
    metric INTEGER NOT NULL,
    bin INTEGER NOT NULL,
    weight INTEGER NOT NULL,
    CONSTRAINT pk_hist_day PRIMARY KEY (t, entity, entity_id, metric, bin)
)
 WITHOUT ROWID;

CREATE TABLE import_file (
    import_id INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    name TEXT DEFAULT '' NOT NULL,
    format TEXT DEFAULT '' NOT NULL,
    zone TEXT DEFAULT '' NOT NULL,
    host_id INTEGER NOT NULL,
    rows_read INTEGER NOT NULL,
    rows_used INTEGER NOT NULL,
    rows_left_out INTEGER NOT NULL,
    first_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    imported_ms INTEGER NOT NULL,
    CONSTRAINT pk_import_file PRIMARY KEY (import_id),
    CONSTRAINT uq_import_file_sha256 UNIQUE (sha256)
);

CREATE TABLE ledger_day (
    t INTEGER NOT NULL,
    gpu_id INTEGER NOT NULL,
    owner_id INTEGER NOT NULL,
    bucket INTEGER NOT NULL,
    cause INTEGER NOT NULL,
    tier INTEGER NOT NULL,
    ms INTEGER NOT NULL,
    energy_mj INTEGER NOT NULL,
    CONSTRAINT pk_ledger_day PRIMARY KEY (t, gpu_id, owner_id, bucket, cause, tier)
)
 WITHOUT ROWID;

CREATE TABLE workload_day (
    t INTEGER NOT NULL,
    workload_id INTEGER NOT NULL,
    obs_ms INTEGER NOT NULL,
    n INTEGER NOT NULL,
    training_obs_ms INTEGER,
    steps_sum INTEGER,
    tokens_sum INTEGER,
    nonpad_tokens_sum INTEGER,
    eval_tokens_sum INTEGER,
    samples_sum INTEGER,
    phase_obs_ms INTEGER,
    data_wait_ms_sum INTEGER,
    forward_ms_sum INTEGER,
    backward_ms_sum INTEGER,
    optimizer_ms_sum INTEGER,
    checkpoint_ms_sum INTEGER,
    eval_ms_sum INTEGER,
    compile_ms_sum INTEGER,
    other_ms_sum INTEGER,
    allocator_obs_ms INTEGER,
    allocated_mib_ms INTEGER,
    reserved_mib_ms INTEGER,
    loss_obs_ms INTEGER,
    loss_micro_ms INTEGER,
    tokens_obs_ms INTEGER,
    output_tokens_sum INTEGER,
    prefill_tokens_sum INTEGER,
    cached_tokens_sum INTEGER,
    requests_obs_ms INTEGER,
    requests_sum INTEGER,
    preemptions_sum INTEGER,
    queue_obs_ms INTEGER,
    running_milli_ms INTEGER,
    waiting_milli_ms INTEGER,
    waiting_milli_max INTEGER,
    kv_obs_ms INTEGER,
    kv_cache_pm_ms INTEGER,
    kv_cache_pm_max INTEGER,
    CONSTRAINT pk_workload_day PRIMARY KEY (t, workload_id)
)
 WITHOUT ROWID;


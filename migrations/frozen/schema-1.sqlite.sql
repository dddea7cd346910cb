-- The tables of schema 1, as its release made them; never changed again.
CREATE TABLE chunk (
    kind INTEGER NOT NULL,
    host_id INTEGER NOT NULL,
    entity_id INTEGER NOT NULL,
    t0_ms INTEGER NOT NULL,
    t1_ms INTEGER NOT NULL,
    n INTEGER NOT NULL,
    codec INTEGER NOT NULL,
    cols TEXT NOT NULL,
    body BLOB NOT NULL,
    CONSTRAINT pk_chunk PRIMARY KEY (kind, host_id, entity_id, t0_ms)
);

CREATE TABLE extra_sample (
    tick_id INTEGER NOT NULL,
    name TEXT DEFAULT '' NOT NULL,
    gpu_id INTEGER NOT NULL,
    proc_id INTEGER NOT NULL,
    unit TEXT DEFAULT '' NOT NULL,
    value DOUBLE NOT NULL,
    CONSTRAINT pk_extra_sample PRIMARY KEY (tick_id, name, gpu_id, proc_id)
)
 WITHOUT ROWID;

CREATE TABLE gap (
    host_id INTEGER NOT NULL,
    gpu_id INTEGER NOT NULL,
    t0_ms INTEGER NOT NULL,
    t1_ms INTEGER NOT NULL,
    reason INTEGER NOT NULL,
    session_id INTEGER,
    CONSTRAINT pk_gap PRIMARY KEY (host_id, t0_ms, gpu_id)
);

CREATE TABLE gpu_hour (
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
    CONSTRAINT pk_gpu_hour PRIMARY KEY (t, gpu_id)
)
 WITHOUT ROWID;

CREATE TABLE gpu_minute (
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
    CONSTRAINT pk_gpu_minute PRIMARY KEY (t, gpu_id)
)
 WITHOUT ROWID;

CREATE TABLE gpu_sample (
    tick_id INTEGER NOT NULL,
    gpu_id INTEGER NOT NULL,
    dt_ms INTEGER NOT NULL,
    quiet INTEGER,
    context INTEGER,
    quiet_ms INTEGER NOT NULL,
    kappa_pm INTEGER NOT NULL,
    unavailable INTEGER NOT NULL,
    utilization_pm INTEGER,
    memory_utilization_pm INTEGER,
    encoder_pm INTEGER,
    decoder_pm INTEGER,
    graphics_active_pm INTEGER,
    sm_active_pm INTEGER,
    sm_occupancy_pm INTEGER,
    tensor_active_pm INTEGER,
    dram_active_pm INTEGER,
    fp64_active_pm INTEGER,
    fp32_active_pm INTEGER,
    fp16_active_pm INTEGER,
    memory_used_mib INTEGER,
    power_mw INTEGER,
    power_limit_mw INTEGER,
    energy_mj INTEGER,
    temperature_c INTEGER,
    memory_temperature_c INTEGER,
    sm_clock_mhz INTEGER,
    memory_clock_mhz INTEGER,
    pcie_rx_kib INTEGER,
    pcie_tx_kib INTEGER,
    nvlink_rx_kib INTEGER,
    nvlink_tx_kib INTEGER,
    clock_event_reasons INTEGER,
    power_throttled_ms INTEGER,
    thermal_throttled_ms INTEGER,
    performance_state INTEGER,
    process_count INTEGER,
    ecc_uncorrected INTEGER,
    CONSTRAINT pk_gpu_sample PRIMARY KEY (tick_id, gpu_id)
)
 WITHOUT ROWID;

CREATE TABLE hist_bin (
    bin INTEGER NOT NULL,
    lo DOUBLE NOT NULL,
    mid DOUBLE NOT NULL,
    hi DOUBLE NOT NULL,
    CONSTRAINT pk_hist_bin PRIMARY KEY (bin)
);

CREATE TABLE hist_hour (
    t INTEGER NOT NULL,
    entity INTEGER NOT NULL,
    entity_id INTEGER NOT NULL,
    metric INTEGER NOT NULL,
    bin INTEGER NOT NULL,
    weight INTEGER NOT NULL,
    CONSTRAINT pk_hist_hour PRIMARY KEY (t, entity, entity_id, metric, bin)
)
 WITHOUT ROWID;

CREATE TABLE host (
    host_id INTEGER NOT NULL,
    machine_id TEXT NOT NULL,
    hostname TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    cpu_count INTEGER,
    memory_total_bytes INTEGER,
    kernel TEXT NOT NULL,
    driver_version TEXT NOT NULL,
    cuda_version TEXT NOT NULL,
    utc_offset_seconds INTEGER NOT NULL,
    simulated INTEGER NOT NULL,
    first_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    CONSTRAINT pk_host PRIMARY KEY (host_id),
    CONSTRAINT uq_host_machine_id UNIQUE (machine_id)
);

CREATE TABLE host_sample (
    tick_id INTEGER NOT NULL,
    host_id INTEGER NOT NULL,
    dt_ms INTEGER NOT NULL,
    cpu_pm INTEGER,
    iowait_pm INTEGER,
    memory_used_mib INTEGER,
    swap_used_mib INTEGER,
    load_cent INTEGER,
    disk_read_kib INTEGER,
    disk_write_kib INTEGER,
    network_receive_kib INTEGER,
    network_transmit_kib INTEGER,
    process_count INTEGER,
    CONSTRAINT pk_host_sample PRIMARY KEY (tick_id, host_id)
)
 WITHOUT ROWID;

CREATE TABLE inference_sample (
    tick_id INTEGER NOT NULL,
    workload_id INTEGER NOT NULL,
    dt_ms INTEGER NOT NULL,
    output_tokens INTEGER,
    prefill_tokens INTEGER,
    cached_tokens INTEGER,
    requests INTEGER,
    preemptions INTEGER,
    running_milli INTEGER,
    waiting_milli INTEGER,
    kv_cache_pm INTEGER,
    CONSTRAINT pk_inference_sample PRIMARY KEY (tick_id, workload_id)
)
 WITHOUT ROWID;

CREATE TABLE ledger_hour (
    t INTEGER NOT NULL,
    gpu_id INTEGER NOT NULL,
    owner_id INTEGER NOT NULL,
    bucket INTEGER NOT NULL,
    cause INTEGER NOT NULL,
    tier INTEGER NOT NULL,
    ms INTEGER NOT NULL,
    energy_mj INTEGER NOT NULL,
    CONSTRAINT pk_ledger_hour PRIMARY KEY (t, gpu_id, owner_id, bucket, cause, tier)
)
 WITHOUT ROWID;

CREATE TABLE ledger_minute (
    t INTEGER NOT NULL,
    gpu_id INTEGER NOT NULL,
    owner_id INTEGER NOT NULL,
    bucket INTEGER NOT NULL,
    cause INTEGER NOT NULL,
    tier INTEGER NOT NULL,
    ms INTEGER NOT NULL,
    energy_mj INTEGER NOT NULL,
    final INTEGER DEFAULT '1' NOT NULL,
    CONSTRAINT pk_ledger_minute PRIMARY KEY (t, gpu_id, owner_id, bucket, cause, tier)
)
 WITHOUT ROWID;

CREATE TABLE ledger_span (
    gpu_id INTEGER NOT NULL,
    t0 INTEGER NOT NULL,
    t1 INTEGER NOT NULL,
    CONSTRAINT pk_ledger_span PRIMARY KEY (gpu_id, t0)
)
 WITHOUT ROWID;

CREATE TABLE meta (
    "key" TEXT NOT NULL,
    value TEXT NOT NULL,
    CONSTRAINT pk_meta PRIMARY KEY ("key")
);

CREATE TABLE process_day (
    t INTEGER NOT NULL,
    proc_id INTEGER NOT NULL,
    gpu_id INTEGER NOT NULL,
    obs_ms INTEGER NOT NULL,
    n INTEGER NOT NULL,
    quiet_ms INTEGER NOT NULL,
    gpu_memory_obs_ms INTEGER,
    gpu_memory_mib_ms INTEGER,
    gpu_memory_mib_max INTEGER,
    sm_obs_ms INTEGER,
    sm_pm_ms INTEGER,
    memory_pm_ms INTEGER,
    cpu_obs_ms INTEGER,
    cpu_pm_ms INTEGER,
    rss_obs_ms INTEGER,
    rss_mib_ms INTEGER,
    rss_mib_max INTEGER,
    io_obs_ms INTEGER,
    read_kib_sum INTEGER,
    write_kib_sum INTEGER,
    CONSTRAINT pk_process_day PRIMARY KEY (t, proc_id, gpu_id)
)
 WITHOUT ROWID;

CREATE TABLE process_hour (
    t INTEGER NOT NULL,
    proc_id INTEGER NOT NULL,
    gpu_id INTEGER NOT NULL,
    obs_ms INTEGER NOT NULL,
    n INTEGER NOT NULL,
    quiet_ms INTEGER NOT NULL,
    gpu_memory_obs_ms INTEGER,
    gpu_memory_mib_ms INTEGER,
    gpu_memory_mib_max INTEGER,
    sm_obs_ms INTEGER,
    sm_pm_ms INTEGER,
    memory_pm_ms INTEGER,
    cpu_obs_ms INTEGER,
    cpu_pm_ms INTEGER,
    rss_obs_ms INTEGER,
    rss_mib_ms INTEGER,
    rss_mib_max INTEGER,
    io_obs_ms INTEGER,
    read_kib_sum INTEGER,
    write_kib_sum INTEGER,
    CONSTRAINT pk_process_hour PRIMARY KEY (t, proc_id, gpu_id)
)
 WITHOUT ROWID;

CREATE TABLE process_minute (
    t INTEGER NOT NULL,
    proc_id INTEGER NOT NULL,
    gpu_id INTEGER NOT NULL,
    obs_ms INTEGER NOT NULL,
    n INTEGER NOT NULL,
    quiet_ms INTEGER NOT NULL,
    gpu_memory_obs_ms INTEGER,
    gpu_memory_mib_ms INTEGER,
    gpu_memory_mib_max INTEGER,
    sm_obs_ms INTEGER,
    sm_pm_ms INTEGER,
    memory_pm_ms INTEGER,
    cpu_obs_ms INTEGER,
    cpu_pm_ms INTEGER,
    rss_obs_ms INTEGER,
    rss_mib_ms INTEGER,
    rss_mib_max INTEGER,
    io_obs_ms INTEGER,
    read_kib_sum INTEGER,
    write_kib_sum INTEGER,
    CONSTRAINT pk_process_minute PRIMARY KEY (t, proc_id, gpu_id)
)
 WITHOUT ROWID;

CREATE TABLE process_sample (
    tick_id INTEGER NOT NULL,
    proc_id INTEGER NOT NULL,
    gpu_id INTEGER NOT NULL,
    dt_ms INTEGER NOT NULL,
    gpu_memory_mib INTEGER,
    sm_pm INTEGER,
    memory_pm INTEGER,
    cpu_pm INTEGER,
    rss_mib INTEGER,
    read_kib INTEGER,
    write_kib INTEGER,
    CONSTRAINT pk_process_sample PRIMARY KEY (tick_id, proc_id, gpu_id)
)
 WITHOUT ROWID;

CREATE TABLE recorder_sample (
    tick_id INTEGER NOT NULL,
    host_id INTEGER NOT NULL,
    dt_ms INTEGER NOT NULL,
    cpu_us INTEGER,
    rss_kib INTEGER,
    driver_us INTEGER,
    driver_calls INTEGER,
    written_kib INTEGER,
    CONSTRAINT pk_recorder_sample PRIMARY KEY (tick_id, host_id)
)
 WITHOUT ROWID;

CREATE TABLE rollup_state (
    host_id INTEGER NOT NULL,
    tier TEXT NOT NULL,
    done_s INTEGER NOT NULL,
    CONSTRAINT pk_rollup_state PRIMARY KEY (host_id, tier)
)
 WITHOUT ROWID;

CREATE TABLE session (
    session_id INTEGER NOT NULL,
    host_id INTEGER,
    started_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    ended_ms INTEGER,
    clean INTEGER DEFAULT '0' NOT NULL,
    version TEXT DEFAULT '' NOT NULL,
    period_ms INTEGER NOT NULL,
    boot_id TEXT DEFAULT '' NOT NULL,
    pid INTEGER DEFAULT '0' NOT NULL,
    CONSTRAINT pk_session PRIMARY KEY (session_id)
);

CREATE TABLE source_state (
    host_id INTEGER NOT NULL,
    name TEXT DEFAULT '' NOT NULL,
    state TEXT DEFAULT '' NOT NULL,
    last_ok_ms INTEGER,
    detail TEXT DEFAULT '' NOT NULL,
    hint TEXT DEFAULT '' NOT NULL,
    changed_ms INTEGER NOT NULL,
    CONSTRAINT pk_source_state PRIMARY KEY (host_id, name)
);

CREATE TABLE tick (
    tick_id INTEGER NOT NULL,
    ts_ms INTEGER NOT NULL,
    session_id INTEGER NOT NULL,
    CONSTRAINT pk_tick PRIMARY KEY (tick_id)
);

CREATE INDEX ix_tick_ts_ms ON tick (ts_ms);

CREATE TABLE training_sample (
    tick_id INTEGER NOT NULL,
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
    CONSTRAINT pk_training_sample PRIMARY KEY (tick_id, workload_id)
)
 WITHOUT ROWID;

CREATE TABLE workload_hour (
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
    CONSTRAINT pk_workload_hour PRIMARY KEY (t, workload_id)
)
 WITHOUT ROWID;

CREATE TABLE workload_minute (
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
    CONSTRAINT pk_workload_minute PRIMARY KEY (t, workload_id)
)
 WITHOUT ROWID;

CREATE TABLE event (
    event_id INTEGER NOT NULL,
    ts_ms INTEGER NOT NULL,
    host_id INTEGER NOT NULL,
    gpu_id INTEGER,
    proc_id INTEGER,
    pid INTEGER,
    kind TEXT DEFAULT '' NOT NULL,
    severity INTEGER NOT NULL,
    detail TEXT DEFAULT '' NOT NULL,
    CONSTRAINT pk_event PRIMARY KEY (event_id),
    CONSTRAINT fk_event_host_id FOREIGN KEY(host_id) REFERENCES host (host_id)
);

CREATE INDEX ix_event_ts_ms ON event (ts_ms);

CREATE TABLE finding (
    finding_id INTEGER NOT NULL,
    host_id INTEGER NOT NULL,
    rule TEXT NOT NULL,
    gpu_id INTEGER DEFAULT '0' NOT NULL,
    owner_id INTEGER DEFAULT '0' NOT NULL,
    workload_id INTEGER DEFAULT '0' NOT NULL,
    started_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    ended_ms INTEGER,
    severity INTEGER NOT NULL,
    confidence_pm INTEGER,
    title TEXT DEFAULT '' NOT NULL,
    evidence TEXT DEFAULT '' NOT NULL,
    advice TEXT DEFAULT '' NOT NULL,
    cost_gpu_ms INTEGER,
    cost_energy_mj INTEGER,
    before_pm INTEGER,
    after_pm INTEGER,
    CONSTRAINT pk_finding PRIMARY KEY (finding_id),
    CONSTRAINT fk_finding_host_id FOREIGN KEY(host_id) REFERENCES host (host_id)
);

CREATE INDEX ix_finding_started_ms ON finding (started_ms);

CREATE TABLE gpu (
    gpu_id INTEGER NOT NULL,
    host_id INTEGER NOT NULL,
    uuid TEXT NOT NULL,
    gpu_index INTEGER NOT NULL,
    name TEXT NOT NULL,
    parent_uuid TEXT NOT NULL,
    mig_profile TEXT NOT NULL,
    mig_enabled INTEGER NOT NULL,
    compute_fraction DOUBLE NOT NULL,
    memory_total_bytes INTEGER,
    memory_reserved_bytes INTEGER,
    power_limit_watts DOUBLE,
    power_limit_default_watts DOUBLE,
    power_limit_max_watts DOUBLE,
    sm_clock_max_hertz INTEGER,
    memory_clock_max_hertz INTEGER,
    pci_bus_id TEXT NOT NULL,
    pcie_generation_max INTEGER,
    pcie_width_max INTEGER,
    nvlink_count INTEGER,
    architecture TEXT NOT NULL,
    compute_capability TEXT NOT NULL,
    serial TEXT NOT NULL,
    ecc_enabled INTEGER,
    persistence_mode INTEGER,
    gpm_supported INTEGER,
    temperature_limit_celsius INTEGER,
    first_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    CONSTRAINT pk_gpu PRIMARY KEY (gpu_id),
    CONSTRAINT uq_gpu_host_id_uuid UNIQUE (host_id, uuid),
    CONSTRAINT fk_gpu_host_id FOREIGN KEY(host_id) REFERENCES host (host_id)
);

CREATE TABLE missing (
    missing_id INTEGER NOT NULL,
    host_id INTEGER NOT NULL,
    entity TEXT DEFAULT '' NOT NULL,
    entity_key TEXT DEFAULT '' NOT NULL,
    field TEXT DEFAULT '' NOT NULL,
    reason INTEGER NOT NULL,
    t0_ms INTEGER NOT NULL,
    t1_ms INTEGER,
    CONSTRAINT pk_missing PRIMARY KEY (missing_id),
    CONSTRAINT fk_missing_host_id FOREIGN KEY(host_id) REFERENCES host (host_id)
);

CREATE INDEX ix_missing_t1_ms ON missing (t1_ms);

CREATE TABLE owner (
    owner_id INTEGER NOT NULL,
    host_id INTEGER NOT NULL,
    user_id INTEGER DEFAULT '0' NOT NULL,
    job TEXT DEFAULT '' NOT NULL,
    workload_id INTEGER DEFAULT '0' NOT NULL,
    proc_id INTEGER DEFAULT '0' NOT NULL,
    CONSTRAINT pk_owner PRIMARY KEY (owner_id),
    CONSTRAINT uq_owner_host_id_user_id_job_workload_id_proc_id UNIQUE (host_id, user_id, job, workload_id, proc_id),
    CONSTRAINT fk_owner_host_id FOREIGN KEY(host_id) REFERENCES host (host_id)
);

CREATE TABLE process (
    proc_id INTEGER NOT NULL,
    host_id INTEGER NOT NULL,
    pid INTEGER NOT NULL,
    start_ms INTEGER NOT NULL,
    name TEXT DEFAULT '' NOT NULL,
    start_known INTEGER DEFAULT '1' NOT NULL,
    parent_pid INTEGER DEFAULT '0' NOT NULL,
    parent_start_ms INTEGER DEFAULT '0' NOT NULL,
    user_id INTEGER,
    command TEXT DEFAULT '' NOT NULL,
    container TEXT DEFAULT '' NOT NULL,
    job TEXT DEFAULT '' NOT NULL,
    workload_pid INTEGER DEFAULT '0' NOT NULL,
    workload_start_ms INTEGER DEFAULT '0' NOT NULL,
    workload_id INTEGER,
    role TEXT DEFAULT '' NOT NULL,
    first_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    CONSTRAINT pk_process PRIMARY KEY (proc_id),
    CONSTRAINT uq_process_host_id_pid_start_ms UNIQUE (host_id, pid, start_ms),
    CONSTRAINT fk_process_host_id FOREIGN KEY(host_id) REFERENCES host (host_id)
);

CREATE TABLE user_account (
    user_id INTEGER NOT NULL,
    host_id INTEGER NOT NULL,
    uid INTEGER,
    name TEXT DEFAULT '' NOT NULL,
    CONSTRAINT pk_user_account PRIMARY KEY (user_id),
    CONSTRAINT uq_user_account_host_id_uid_name UNIQUE (host_id, uid, name),
    CONSTRAINT fk_user_account_host_id FOREIGN KEY(host_id) REFERENCES host (host_id)
);

CREATE TABLE workload (
    workload_id INTEGER NOT NULL,
    host_id INTEGER NOT NULL,
    root_pid INTEGER NOT NULL,
    root_start_ms INTEGER NOT NULL,
    port INTEGER NOT NULL,
    kind TEXT DEFAULT '' NOT NULL,
    name TEXT DEFAULT '' NOT NULL,
    model TEXT DEFAULT '' NOT NULL,
    engine TEXT DEFAULT '' NOT NULL,
    engine_version TEXT DEFAULT '' NOT NULL,
    user_id INTEGER,
    job TEXT DEFAULT '' NOT NULL,
    first_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    CONSTRAINT pk_workload PRIMARY KEY (workload_id),
    CONSTRAINT uq_workload_host_id_root_pid_root_start_ms_port UNIQUE (host_id, root_pid, root_start_ms, port),
    CONSTRAINT fk_workload_host_id FOREIGN KEY(host_id) REFERENCES host (host_id)
);

CREATE TABLE run (
    run_id INTEGER NOT NULL,
    workload_id INTEGER NOT NULL,
    started_ms INTEGER NOT NULL,
    first_step_ms INTEGER,
    last_step_ms INTEGER,
    last_checkpoint_ms INTEGER,
    ended_ms INTEGER,
    exit_code INTEGER,
    steps INTEGER,
    tokens INTEGER,
    lost_gpu_ms INTEGER,
    CONSTRAINT pk_run PRIMARY KEY (run_id),
    CONSTRAINT fk_run_workload_id FOREIGN KEY(workload_id) REFERENCES workload (workload_id)
);


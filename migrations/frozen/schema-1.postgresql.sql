-- The tables of schema 1, as its release made them; never changed again.
CREATE TABLE chunk (
    kind BIGINT NOT NULL,
    host_id BIGINT NOT NULL,
    entity_id BIGINT NOT NULL,
    t0_ms BIGINT NOT NULL,
    t1_ms BIGINT NOT NULL,
    n BIGINT NOT NULL,
    codec BIGINT NOT NULL,
    cols TEXT NOT NULL,
    body BYTEA NOT NULL,
    CONSTRAINT pk_chunk PRIMARY KEY (kind, host_id, entity_id, t0_ms)
);


CREATE TABLE extra_sample (
    tick_id BIGINT NOT NULL,
    name TEXT DEFAULT '' NOT NULL,
    gpu_id BIGINT NOT NULL,
    proc_id BIGINT NOT NULL,
    unit TEXT DEFAULT '' NOT NULL,
    value DOUBLE PRECISION NOT NULL,
    CONSTRAINT pk_extra_sample PRIMARY KEY (tick_id, name, gpu_id, proc_id)
);

CREATE TABLE gap (
    host_id BIGINT NOT NULL,
    gpu_id BIGINT NOT NULL,
    t0_ms BIGINT NOT NULL,
    t1_ms BIGINT NOT NULL,
    reason BIGINT NOT NULL,
    session_id BIGINT,
    CONSTRAINT pk_gap PRIMARY KEY (host_id, t0_ms, gpu_id)
);


CREATE TABLE gpu_hour (
    t BIGINT NOT NULL,
    gpu_id BIGINT NOT NULL,
    obs_ms BIGINT NOT NULL,
    n BIGINT NOT NULL,
    quiet_ms BIGINT NOT NULL,
    quiet_known_ms BIGINT NOT NULL,
    context_ms BIGINT NOT NULL,
    context_known_ms BIGINT NOT NULL,
    quiet_context_ms BIGINT NOT NULL,
    unavailable_ms BIGINT NOT NULL,
    throttled_ms BIGINT NOT NULL,
    energy_used_mj BIGINT NOT NULL,
    quiet_energy_mj BIGINT NOT NULL,
    energy_src BIGINT NOT NULL,
    utilization_obs_ms BIGINT,
    utilization_pm_ms BIGINT,
    utilization_pm_max BIGINT,
    memory_utilization_pm_ms BIGINT,
    codec_obs_ms BIGINT,
    encoder_pm_ms BIGINT,
    decoder_pm_ms BIGINT,
    gpm_obs_ms BIGINT,
    graphics_active_pm_ms BIGINT,
    sm_active_pm_ms BIGINT,
    sm_occupancy_pm_ms BIGINT,
    tensor_active_pm_ms BIGINT,
    dram_active_pm_ms BIGINT,
    fp64_active_pm_ms BIGINT,
    fp32_active_pm_ms BIGINT,
    fp16_active_pm_ms BIGINT,
    memory_obs_ms BIGINT,
    memory_used_mib_ms BIGINT,
    memory_used_mib_max BIGINT,
    power_obs_ms BIGINT,
    power_mw_ms BIGINT,
    power_mw_max BIGINT,
    power_limit_obs_ms BIGINT,
    power_limit_mw_ms BIGINT,
    energy_obs_ms BIGINT,
    energy_mj_sum BIGINT,
    temperature_obs_ms BIGINT,
    temperature_c_ms BIGINT,
    temperature_c_max BIGINT,
    memory_temperature_obs_ms BIGINT,
    memory_temperature_c_ms BIGINT,
    memory_temperature_c_max BIGINT,
    clock_obs_ms BIGINT,
    sm_clock_mhz_ms BIGINT,
    sm_clock_mhz_min BIGINT,
    memory_clock_mhz_ms BIGINT,
    pcie_obs_ms BIGINT,
    pcie_rx_kib_sum BIGINT,
    pcie_tx_kib_sum BIGINT,
    nvlink_obs_ms BIGINT,
    nvlink_rx_kib_sum BIGINT,
    nvlink_tx_kib_sum BIGINT,
    reasons_obs_ms BIGINT,
    throttle_obs_ms BIGINT,
    power_throttled_ms_sum BIGINT,
    thermal_throttled_ms_sum BIGINT,
    CONSTRAINT pk_gpu_hour PRIMARY KEY (t, gpu_id)
);

CREATE TABLE gpu_minute (
    t BIGINT NOT NULL,
    gpu_id BIGINT NOT NULL,
    obs_ms BIGINT NOT NULL,
    n BIGINT NOT NULL,
    quiet_ms BIGINT NOT NULL,
    quiet_known_ms BIGINT NOT NULL,
    context_ms BIGINT NOT NULL,
    context_known_ms BIGINT NOT NULL,
    quiet_context_ms BIGINT NOT NULL,
    unavailable_ms BIGINT NOT NULL,
    throttled_ms BIGINT NOT NULL,
    energy_used_mj BIGINT NOT NULL,
    quiet_energy_mj BIGINT NOT NULL,
    energy_src BIGINT NOT NULL,
    utilization_obs_ms BIGINT,
    utilization_pm_ms BIGINT,
    utilization_pm_max BIGINT,
    memory_utilization_pm_ms BIGINT,
    codec_obs_ms BIGINT,
    encoder_pm_ms BIGINT,
    decoder_pm_ms BIGINT,
    gpm_obs_ms BIGINT,
    graphics_active_pm_ms BIGINT,
    sm_active_pm_ms BIGINT,
    sm_occupancy_pm_ms BIGINT,
    tensor_active_pm_ms BIGINT,
    dram_active_pm_ms BIGINT,
    fp64_active_pm_ms BIGINT,
    fp32_active_pm_ms BIGINT,
    fp16_active_pm_ms BIGINT,
    memory_obs_ms BIGINT,
    memory_used_mib_ms BIGINT,
    memory_used_mib_max BIGINT,
    power_obs_ms BIGINT,
    power_mw_ms BIGINT,
    power_mw_max BIGINT,
    power_limit_obs_ms BIGINT,
    power_limit_mw_ms BIGINT,
    energy_obs_ms BIGINT,
    energy_mj_sum BIGINT,
    temperature_obs_ms BIGINT,
    temperature_c_ms BIGINT,
    temperature_c_max BIGINT,
    memory_temperature_obs_ms BIGINT,
    memory_temperature_c_ms BIGINT,
    memory_temperature_c_max BIGINT,
    clock_obs_ms BIGINT,
    sm_clock_mhz_ms BIGINT,
    sm_clock_mhz_min BIGINT,
    memory_clock_mhz_ms BIGINT,
    pcie_obs_ms BIGINT,
    pcie_rx_kib_sum BIGINT,
    pcie_tx_kib_sum BIGINT,
    nvlink_obs_ms BIGINT,
    nvlink_rx_kib_sum BIGINT,
    nvlink_tx_kib_sum BIGINT,
    reasons_obs_ms BIGINT,
    throttle_obs_ms BIGINT,
    power_throttled_ms_sum BIGINT,
    thermal_throttled_ms_sum BIGINT,
    CONSTRAINT pk_gpu_minute PRIMARY KEY (t, gpu_id)
);

CREATE TABLE gpu_sample (
    tick_id BIGINT NOT NULL,
    gpu_id BIGINT NOT NULL,
    dt_ms BIGINT NOT NULL,
    quiet BIGINT,
    context BIGINT,
    quiet_ms BIGINT NOT NULL,
    kappa_pm BIGINT NOT NULL,
    unavailable BIGINT NOT NULL,
    utilization_pm BIGINT,
    memory_utilization_pm BIGINT,
    encoder_pm BIGINT,
    decoder_pm BIGINT,
    graphics_active_pm BIGINT,
    sm_active_pm BIGINT,
    sm_occupancy_pm BIGINT,
    tensor_active_pm BIGINT,
    dram_active_pm BIGINT,
    fp64_active_pm BIGINT,
    fp32_active_pm BIGINT,
    fp16_active_pm BIGINT,
    memory_used_mib BIGINT,
    power_mw BIGINT,
    power_limit_mw BIGINT,
    energy_mj BIGINT,
    temperature_c BIGINT,
    memory_temperature_c BIGINT,
    sm_clock_mhz BIGINT,
    memory_clock_mhz BIGINT,
    pcie_rx_kib BIGINT,
    pcie_tx_kib BIGINT,
    nvlink_rx_kib BIGINT,
    nvlink_tx_kib BIGINT,
    clock_event_reasons BIGINT,
    power_throttled_ms BIGINT,
    thermal_throttled_ms BIGINT,
    performance_state BIGINT,
    process_count BIGINT,
    ecc_uncorrected BIGINT,
    CONSTRAINT pk_gpu_sample PRIMARY KEY (tick_id, gpu_id)
);

CREATE TABLE hist_bin (
    bin BIGINT NOT NULL,
    lo DOUBLE PRECISION NOT NULL,
    mid DOUBLE PRECISION NOT NULL,
    hi DOUBLE PRECISION NOT NULL,
    CONSTRAINT pk_hist_bin PRIMARY KEY (bin)
);

CREATE TABLE hist_hour (
    t BIGINT NOT NULL,
    entity BIGINT NOT NULL,
    entity_id BIGINT NOT NULL,
    metric BIGINT NOT NULL,
    bin BIGINT NOT NULL,
    weight BIGINT NOT NULL,
    CONSTRAINT pk_hist_hour PRIMARY KEY (t, entity, entity_id, metric, bin)
);

CREATE TABLE host (
    host_id BIGINT NOT NULL,
    machine_id TEXT NOT NULL,
    hostname TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    cpu_count BIGINT,
    memory_total_bytes BIGINT,
    kernel TEXT NOT NULL,
    driver_version TEXT NOT NULL,
    cuda_version TEXT NOT NULL,
    utc_offset_seconds BIGINT NOT NULL,
    simulated BIGINT NOT NULL,
    first_ms BIGINT NOT NULL,
    last_ms BIGINT NOT NULL,
    CONSTRAINT pk_host PRIMARY KEY (host_id),
    CONSTRAINT uq_host_machine_id UNIQUE (machine_id)
);

CREATE TABLE host_sample (
    tick_id BIGINT NOT NULL,
    host_id BIGINT NOT NULL,
    dt_ms BIGINT NOT NULL,
    cpu_pm BIGINT,
    iowait_pm BIGINT,
    memory_used_mib BIGINT,
    swap_used_mib BIGINT,
    load_cent BIGINT,
    disk_read_kib BIGINT,
    disk_write_kib BIGINT,
    network_receive_kib BIGINT,
    network_transmit_kib BIGINT,
    process_count BIGINT,
    CONSTRAINT pk_host_sample PRIMARY KEY (tick_id, host_id)
);

CREATE TABLE inference_sample (
    tick_id BIGINT NOT NULL,
    workload_id BIGINT NOT NULL,
    dt_ms BIGINT NOT NULL,
    output_tokens BIGINT,
    prefill_tokens BIGINT,
    cached_tokens BIGINT,
    requests BIGINT,
    preemptions BIGINT,
    running_milli BIGINT,
    waiting_milli BIGINT,
    kv_cache_pm BIGINT,
    CONSTRAINT pk_inference_sample PRIMARY KEY (tick_id, workload_id)
);

CREATE TABLE ledger_hour (
    t BIGINT NOT NULL,
    gpu_id BIGINT NOT NULL,
    owner_id BIGINT NOT NULL,
    bucket BIGINT NOT NULL,
    cause BIGINT NOT NULL,
    tier BIGINT NOT NULL,
    ms BIGINT NOT NULL,
    energy_mj BIGINT NOT NULL,
    CONSTRAINT pk_ledger_hour PRIMARY KEY (t, gpu_id, owner_id, bucket, cause, tier)
);

CREATE TABLE ledger_minute (
    t BIGINT NOT NULL,
    gpu_id BIGINT NOT NULL,
    owner_id BIGINT NOT NULL,
    bucket BIGINT NOT NULL,
    cause BIGINT NOT NULL,
    tier BIGINT NOT NULL,
    ms BIGINT NOT NULL,
    energy_mj BIGINT NOT NULL,
    final BIGINT DEFAULT '1' NOT NULL,
    CONSTRAINT pk_ledger_minute PRIMARY KEY (t, gpu_id, owner_id, bucket, cause, tier)
);


CREATE TABLE ledger_span (
    gpu_id BIGINT NOT NULL,
    t0 BIGINT NOT NULL,
    t1 BIGINT NOT NULL,
    CONSTRAINT pk_ledger_span PRIMARY KEY (gpu_id, t0)
);


CREATE TABLE meta (
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    CONSTRAINT pk_meta PRIMARY KEY (key)
);

CREATE TABLE process_day (
    t BIGINT NOT NULL,
    proc_id BIGINT NOT NULL,
    gpu_id BIGINT NOT NULL,
    obs_ms BIGINT NOT NULL,
    n BIGINT NOT NULL,
    quiet_ms BIGINT NOT NULL,
    gpu_memory_obs_ms BIGINT,
    gpu_memory_mib_ms BIGINT,
    gpu_memory_mib_max BIGINT,
    sm_obs_ms BIGINT,
    sm_pm_ms BIGINT,
    memory_pm_ms BIGINT,
    cpu_obs_ms BIGINT,
    cpu_pm_ms BIGINT,
    rss_obs_ms BIGINT,
    rss_mib_ms BIGINT,
    rss_mib_max BIGINT,
    io_obs_ms BIGINT,
    read_kib_sum BIGINT,
    write_kib_sum BIGINT,
    CONSTRAINT pk_process_day PRIMARY KEY (t, proc_id, gpu_id)
);

CREATE TABLE process_hour (
    t BIGINT NOT NULL,
    proc_id BIGINT NOT NULL,
    gpu_id BIGINT NOT NULL,
    obs_ms BIGINT NOT NULL,
    n BIGINT NOT NULL,
    quiet_ms BIGINT NOT NULL,
    gpu_memory_obs_ms BIGINT,
    gpu_memory_mib_ms BIGINT,
    gpu_memory_mib_max BIGINT,
    sm_obs_ms BIGINT,
    sm_pm_ms BIGINT,
    memory_pm_ms BIGINT,
    cpu_obs_ms BIGINT,
    cpu_pm_ms BIGINT,
    rss_obs_ms BIGINT,
    rss_mib_ms BIGINT,
    rss_mib_max BIGINT,
    io_obs_ms BIGINT,
    read_kib_sum BIGINT,
    write_kib_sum BIGINT,
    CONSTRAINT pk_process_hour PRIMARY KEY (t, proc_id, gpu_id)
);

CREATE TABLE process_minute (
    t BIGINT NOT NULL,
    proc_id BIGINT NOT NULL,
    gpu_id BIGINT NOT NULL,
    obs_ms BIGINT NOT NULL,
    n BIGINT NOT NULL,
    quiet_ms BIGINT NOT NULL,
    gpu_memory_obs_ms BIGINT,
    gpu_memory_mib_ms BIGINT,
    gpu_memory_mib_max BIGINT,
    sm_obs_ms BIGINT,
    sm_pm_ms BIGINT,
    memory_pm_ms BIGINT,
    cpu_obs_ms BIGINT,
    cpu_pm_ms BIGINT,
    rss_obs_ms BIGINT,
    rss_mib_ms BIGINT,
    rss_mib_max BIGINT,
    io_obs_ms BIGINT,
    read_kib_sum BIGINT,
    write_kib_sum BIGINT,
    CONSTRAINT pk_process_minute PRIMARY KEY (t, proc_id, gpu_id)
);

CREATE TABLE process_sample (
    tick_id BIGINT NOT NULL,
    proc_id BIGINT NOT NULL,
    gpu_id BIGINT NOT NULL,
    dt_ms BIGINT NOT NULL,
    gpu_memory_mib BIGINT,
    sm_pm BIGINT,
    memory_pm BIGINT,
    cpu_pm BIGINT,
    rss_mib BIGINT,
    read_kib BIGINT,
    write_kib BIGINT,
    CONSTRAINT pk_process_sample PRIMARY KEY (tick_id, proc_id, gpu_id)
);

CREATE TABLE recorder_sample (
    tick_id BIGINT NOT NULL,
    host_id BIGINT NOT NULL,
    dt_ms BIGINT NOT NULL,
    cpu_us BIGINT,
    rss_kib BIGINT,
    driver_us BIGINT,
    driver_calls BIGINT,
    written_kib BIGINT,
    CONSTRAINT pk_recorder_sample PRIMARY KEY (tick_id, host_id)
);

CREATE TABLE rollup_state (
    host_id BIGINT NOT NULL,
    tier TEXT NOT NULL,
    done_s BIGINT NOT NULL,
    CONSTRAINT pk_rollup_state PRIMARY KEY (host_id, tier)
);

CREATE TABLE session (
    session_id BIGINT NOT NULL,
    host_id BIGINT,
    started_ms BIGINT NOT NULL,
    last_ms BIGINT NOT NULL,
    ended_ms BIGINT,
    clean BIGINT DEFAULT '0' NOT NULL,
    version TEXT DEFAULT '' NOT NULL,
    period_ms BIGINT NOT NULL,
    boot_id TEXT DEFAULT '' NOT NULL,
    pid BIGINT DEFAULT '0' NOT NULL,
    CONSTRAINT pk_session PRIMARY KEY (session_id)
);

CREATE TABLE source_state (
    host_id BIGINT NOT NULL,
    name TEXT DEFAULT '' NOT NULL,
    state TEXT DEFAULT '' NOT NULL,
    last_ok_ms BIGINT,
    detail TEXT DEFAULT '' NOT NULL,
    hint TEXT DEFAULT '' NOT NULL,
    changed_ms BIGINT NOT NULL,
    CONSTRAINT pk_source_state PRIMARY KEY (host_id, name)
);

CREATE TABLE tick (
    tick_id BIGINT NOT NULL,
    ts_ms BIGINT NOT NULL,
    session_id BIGINT NOT NULL,
    CONSTRAINT pk_tick PRIMARY KEY (tick_id)
);

CREATE INDEX ix_tick_ts_ms ON tick (ts_ms);

CREATE TABLE training_sample (
    tick_id BIGINT NOT NULL,
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
    CONSTRAINT pk_training_sample PRIMARY KEY (tick_id, workload_id)
);

CREATE TABLE workload_hour (
    t BIGINT NOT NULL,
    workload_id BIGINT NOT NULL,
    obs_ms BIGINT NOT NULL,
    n BIGINT NOT NULL,
    training_obs_ms BIGINT,
    steps_sum BIGINT,
    tokens_sum BIGINT,
    nonpad_tokens_sum BIGINT,
    eval_tokens_sum BIGINT,
    samples_sum BIGINT,
    phase_obs_ms BIGINT,
    data_wait_ms_sum BIGINT,
    forward_ms_sum BIGINT,
    backward_ms_sum BIGINT,
    optimizer_ms_sum BIGINT,
    checkpoint_ms_sum BIGINT,
    eval_ms_sum BIGINT,
    compile_ms_sum BIGINT,
    other_ms_sum BIGINT,
    allocator_obs_ms BIGINT,
    allocated_mib_ms BIGINT,
    reserved_mib_ms BIGINT,
    loss_obs_ms BIGINT,
    loss_micro_ms BIGINT,
    tokens_obs_ms BIGINT,
    output_tokens_sum BIGINT,
    prefill_tokens_sum BIGINT,
    cached_tokens_sum BIGINT,
    requests_obs_ms BIGINT,
    requests_sum BIGINT,
    preemptions_sum BIGINT,
    queue_obs_ms BIGINT,
    running_milli_ms BIGINT,
    waiting_milli_ms BIGINT,
    waiting_milli_max BIGINT,
    kv_obs_ms BIGINT,
    kv_cache_pm_ms BIGINT,
    kv_cache_pm_max BIGINT,
    CONSTRAINT pk_workload_hour PRIMARY KEY (t, workload_id)
);

CREATE TABLE workload_minute (
    t BIGINT NOT NULL,
    workload_id BIGINT NOT NULL,
    obs_ms BIGINT NOT NULL,
    n BIGINT NOT NULL,
    training_obs_ms BIGINT,
    steps_sum BIGINT,
    tokens_sum BIGINT,
    nonpad_tokens_sum BIGINT,
    eval_tokens_sum BIGINT,
    samples_sum BIGINT,
    phase_obs_ms BIGINT,
    data_wait_ms_sum BIGINT,
    forward_ms_sum BIGINT,
    backward_ms_sum BIGINT,
    optimizer_ms_sum BIGINT,
    checkpoint_ms_sum BIGINT,
    eval_ms_sum BIGINT,
    compile_ms_sum BIGINT,
    other_ms_sum BIGINT,
    allocator_obs_ms BIGINT,
    allocated_mib_ms BIGINT,
    reserved_mib_ms BIGINT,
    loss_obs_ms BIGINT,
    loss_micro_ms BIGINT,
    tokens_obs_ms BIGINT,
    output_tokens_sum BIGINT,
    prefill_tokens_sum BIGINT,
    cached_tokens_sum BIGINT,
    requests_obs_ms BIGINT,
    requests_sum BIGINT,
    preemptions_sum BIGINT,
    queue_obs_ms BIGINT,
    running_milli_ms BIGINT,
    waiting_milli_ms BIGINT,
    waiting_milli_max BIGINT,
    kv_obs_ms BIGINT,
    kv_cache_pm_ms BIGINT,
    kv_cache_pm_max BIGINT,
    CONSTRAINT pk_workload_minute PRIMARY KEY (t, workload_id)
);

CREATE TABLE event (
    event_id BIGINT NOT NULL,
    ts_ms BIGINT NOT NULL,
    host_id BIGINT NOT NULL,
    gpu_id BIGINT,
    proc_id BIGINT,
    pid BIGINT,
    kind TEXT DEFAULT '' NOT NULL,
    severity BIGINT NOT NULL,
    detail TEXT DEFAULT '' NOT NULL,
    CONSTRAINT pk_event PRIMARY KEY (event_id),
    CONSTRAINT fk_event_host_id FOREIGN KEY(host_id) REFERENCES host (host_id)
);

CREATE INDEX ix_event_ts_ms ON event (ts_ms);

CREATE TABLE finding (
    finding_id BIGINT NOT NULL,
    host_id BIGINT NOT NULL,
    rule TEXT NOT NULL,
    gpu_id BIGINT DEFAULT '0' NOT NULL,
    owner_id BIGINT DEFAULT '0' NOT NULL,
    workload_id BIGINT DEFAULT '0' NOT NULL,
    started_ms BIGINT NOT NULL,
    last_ms BIGINT NOT NULL,
    ended_ms BIGINT,
    severity BIGINT NOT NULL,
    confidence_pm BIGINT,
    title TEXT DEFAULT '' NOT NULL,
    evidence TEXT DEFAULT '' NOT NULL,
    advice TEXT DEFAULT '' NOT NULL,
    cost_gpu_ms BIGINT,
    cost_energy_mj BIGINT,
    before_pm BIGINT,
    after_pm BIGINT,
    CONSTRAINT pk_finding PRIMARY KEY (finding_id),
    CONSTRAINT fk_finding_host_id FOREIGN KEY(host_id) REFERENCES host (host_id)
);

CREATE INDEX ix_finding_started_ms ON finding (started_ms);

CREATE TABLE gpu (
    gpu_id BIGINT NOT NULL,
    host_id BIGINT NOT NULL,
    uuid TEXT NOT NULL,
    gpu_index BIGINT NOT NULL,
    name TEXT NOT NULL,
    parent_uuid TEXT NOT NULL,
    mig_profile TEXT NOT NULL,
    mig_enabled BIGINT NOT NULL,
    compute_fraction DOUBLE PRECISION NOT NULL,
    memory_total_bytes BIGINT,
    memory_reserved_bytes BIGINT,
    power_limit_watts DOUBLE PRECISION,
    power_limit_default_watts DOUBLE PRECISION,
    power_limit_max_watts DOUBLE PRECISION,
    sm_clock_max_hertz BIGINT,
    memory_clock_max_hertz BIGINT,
    pci_bus_id TEXT NOT NULL,
    pcie_generation_max BIGINT,
    pcie_width_max BIGINT,
    nvlink_count BIGINT,
    architecture TEXT NOT NULL,
    compute_capability TEXT NOT NULL,
    serial TEXT NOT NULL,
    ecc_enabled BIGINT,
    persistence_mode BIGINT,
    gpm_supported BIGINT,
    temperature_limit_celsius BIGINT,
    first_ms BIGINT NOT NULL,
    last_ms BIGINT NOT NULL,
    CONSTRAINT pk_gpu PRIMARY KEY (gpu_id),
    CONSTRAINT uq_gpu_host_id_uuid UNIQUE (host_id, uuid),
    CONSTRAINT fk_gpu_host_id FOREIGN KEY(host_id) REFERENCES host (host_id)
);

CREATE TABLE missing (
    missing_id BIGINT NOT NULL,
    host_id BIGINT NOT NULL,
    entity TEXT DEFAULT '' NOT NULL,
    entity_key TEXT DEFAULT '' NOT NULL,
    field TEXT DEFAULT '' NOT NULL,
    reason BIGINT NOT NULL,
    t0_ms BIGINT NOT NULL,
    t1_ms BIGINT,
    CONSTRAINT pk_missing PRIMARY KEY (missing_id),
    CONSTRAINT fk_missing_host_id FOREIGN KEY(host_id) REFERENCES host (host_id)
);

CREATE INDEX ix_missing_t1_ms ON missing (t1_ms);


CREATE TABLE owner (
    owner_id BIGINT NOT NULL,
    host_id BIGINT NOT NULL,
    user_id BIGINT DEFAULT '0' NOT NULL,
    job TEXT DEFAULT '' NOT NULL,
    workload_id BIGINT DEFAULT '0' NOT NULL,
    proc_id BIGINT DEFAULT '0' NOT NULL,
    CONSTRAINT pk_owner PRIMARY KEY (owner_id),
    CONSTRAINT uq_owner_host_id_user_id_job_workload_id_proc_id UNIQUE (host_id, user_id, job, workload_id, proc_id),
    CONSTRAINT fk_owner_host_id FOREIGN KEY(host_id) REFERENCES host (host_id)
);


CREATE TABLE process (
    proc_id BIGINT NOT NULL,
    host_id BIGINT NOT NULL,
    pid BIGINT NOT NULL,
    start_ms BIGINT NOT NULL,
    name TEXT DEFAULT '' NOT NULL,
    start_known BIGINT DEFAULT '1' NOT NULL,
    parent_pid BIGINT DEFAULT '0' NOT NULL,
    parent_start_ms BIGINT DEFAULT '0' NOT NULL,
    user_id BIGINT,
    command TEXT DEFAULT '' NOT NULL,
    container TEXT DEFAULT '' NOT NULL,
    job TEXT DEFAULT '' NOT NULL,
    workload_pid BIGINT DEFAULT '0' NOT NULL,
    workload_start_ms BIGINT DEFAULT '0' NOT NULL,
    workload_id BIGINT,
    role TEXT DEFAULT '' NOT NULL,
    first_ms BIGINT NOT NULL,
    last_ms BIGINT NOT NULL,
    CONSTRAINT pk_process PRIMARY KEY (proc_id),
    CONSTRAINT uq_process_host_id_pid_start_ms UNIQUE (host_id, pid, start_ms),
    CONSTRAINT fk_process_host_id FOREIGN KEY(host_id) REFERENCES host (host_id)
);

CREATE TABLE user_account (
    user_id BIGINT NOT NULL,
    host_id BIGINT NOT NULL,
    uid BIGINT,
    name TEXT DEFAULT '' NOT NULL,
    CONSTRAINT pk_user_account PRIMARY KEY (user_id),
    CONSTRAINT uq_user_account_host_id_uid_name UNIQUE (host_id, uid, name),
    CONSTRAINT fk_user_account_host_id FOREIGN KEY(host_id) REFERENCES host (host_id)
);

CREATE TABLE workload (
    workload_id BIGINT NOT NULL,
    host_id BIGINT NOT NULL,
    root_pid BIGINT NOT NULL,
    root_start_ms BIGINT NOT NULL,
    port BIGINT NOT NULL,
    kind TEXT DEFAULT '' NOT NULL,
    name TEXT DEFAULT '' NOT NULL,
    model TEXT DEFAULT '' NOT NULL,
    engine TEXT DEFAULT '' NOT NULL,
    engine_version TEXT DEFAULT '' NOT NULL,
    user_id BIGINT,
    job TEXT DEFAULT '' NOT NULL,
    first_ms BIGINT NOT NULL,
    last_ms BIGINT NOT NULL,
    CONSTRAINT pk_workload PRIMARY KEY (workload_id),
    CONSTRAINT uq_workload_host_id_root_pid_root_start_ms_port UNIQUE (host_id, root_pid, root_start_ms, port),
    CONSTRAINT fk_workload_host_id FOREIGN KEY(host_id) REFERENCES host (host_id)
);

CREATE TABLE run (
    run_id BIGINT NOT NULL,
    workload_id BIGINT NOT NULL,
    started_ms BIGINT NOT NULL,
    first_step_ms BIGINT,
    last_step_ms BIGINT,
    last_checkpoint_ms BIGINT,
    ended_ms BIGINT,
    exit_code BIGINT,
    steps BIGINT,
    tokens BIGINT,
    lost_gpu_ms BIGINT,
    CONSTRAINT pk_run PRIMARY KEY (run_id),
    CONSTRAINT fk_run_workload_id FOREIGN KEY(workload_id) REFERENCES workload (workload_id)
);


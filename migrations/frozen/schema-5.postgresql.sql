-- What schema 5 added; never changed again.
ALTER TABLE gpu_sample ADD COLUMN pcie_generation BIGINT;

ALTER TABLE gpu_sample ADD COLUMN pcie_width BIGINT;

ALTER TABLE gpu_sample ADD COLUMN nvlink_active BIGINT;

ALTER TABLE gpu_sample ADD COLUMN overhead_pm BIGINT;

ALTER TABLE gpu_sample ADD COLUMN input_pm BIGINT;

ALTER TABLE gpu_sample ADD COLUMN host_pm BIGINT;

ALTER TABLE gpu_sample ADD COLUMN peers_pm BIGINT;

ALTER TABLE gpu_sample ADD COLUMN demand_pm BIGINT;

ALTER TABLE gpu_sample ADD COLUMN redone_pm BIGINT;

ALTER TABLE gpu_sample ADD COLUMN mfu_pm BIGINT;

ALTER TABLE gpu_sample ADD COLUMN power_fraction_pm BIGINT;

ALTER TABLE gpu_sample ADD COLUMN sibling BIGINT;

ALTER TABLE gpu_sample ADD COLUMN inferred_cause BIGINT;

ALTER TABLE process_sample ADD COLUMN thread_cpu_pm BIGINT;

ALTER TABLE process_sample ADD COLUMN cpu_throttled_pm BIGINT;

ALTER TABLE process_sample ADD COLUMN run_state BIGINT;

ALTER TABLE host_sample ADD COLUMN steal_pm BIGINT;

ALTER TABLE host_sample ADD COLUMN psi_cpu_pm BIGINT;

ALTER TABLE host_sample ADD COLUMN psi_io_pm BIGINT;

ALTER TABLE host_sample ADD COLUMN psi_memory_pm BIGINT;

ALTER TABLE host_sample ADD COLUMN swap_in_kib BIGINT;

ALTER TABLE gpu ADD COLUMN idle_power_mw BIGINT;

ALTER TABLE process ADD COLUMN visible_gpus TEXT DEFAULT '' NOT NULL;

ALTER TABLE finding ADD COLUMN subject TEXT DEFAULT '' NOT NULL;

ALTER TABLE finding ADD COLUMN gpus TEXT DEFAULT '' NOT NULL;

ALTER TABLE finding ADD COLUMN command TEXT DEFAULT '' NOT NULL;

ALTER TABLE finding ADD COLUMN detail TEXT DEFAULT '' NOT NULL;

ALTER TABLE finding ADD COLUMN effect TEXT DEFAULT '' NOT NULL;

ALTER TABLE finding ADD COLUMN sql TEXT DEFAULT '' NOT NULL;

ALTER TABLE finding ADD COLUMN basis BIGINT DEFAULT '0' NOT NULL;

ALTER TABLE finding ADD COLUMN waste_pm BIGINT;

ALTER TABLE finding ADD COLUMN saved_gpu_ms_day BIGINT;

CREATE TABLE finding_minute (
    finding_id BIGINT NOT NULL,
    t BIGINT NOT NULL,
    measured_pm BIGINT,
    waste_pm BIGINT,
    cost_gpu_ms BIGINT,
    CONSTRAINT pk_finding_minute PRIMARY KEY (finding_id, t)
);

CREATE TABLE mute (
    mute_id BIGINT NOT NULL,
    host_id BIGINT NOT NULL,
    rule TEXT NOT NULL,
    subject TEXT DEFAULT '' NOT NULL,
    command TEXT DEFAULT '' NOT NULL,
    reason TEXT DEFAULT '' NOT NULL,
    made_ms BIGINT NOT NULL,
    until_ms BIGINT,
    lifted_ms BIGINT,
    CONSTRAINT pk_mute PRIMARY KEY (mute_id),
    CONSTRAINT fk_mute_host_id FOREIGN KEY(host_id) REFERENCES host (host_id)
);

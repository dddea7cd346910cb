-- What schema 5 added; never changed again.
ALTER TABLE gpu_sample ADD COLUMN pcie_generation INTEGER;

ALTER TABLE gpu_sample ADD COLUMN pcie_width INTEGER;

ALTER TABLE gpu_sample ADD COLUMN nvlink_active INTEGER;

ALTER TABLE gpu_sample ADD COLUMN overhead_pm INTEGER;

ALTER TABLE gpu_sample ADD COLUMN input_pm INTEGER;

ALTER TABLE gpu_sample ADD COLUMN host_pm INTEGER;

ALTER TABLE gpu_sample ADD COLUMN peers_pm INTEGER;

ALTER TABLE gpu_sample ADD COLUMN demand_pm INTEGER;

ALTER TABLE gpu_sample ADD COLUMN redone_pm INTEGER;

ALTER TABLE gpu_sample ADD COLUMN mfu_pm INTEGER;

ALTER TABLE gpu_sample ADD COLUMN power_fraction_pm INTEGER;

ALTER TABLE gpu_sample ADD COLUMN sibling INTEGER;

ALTER TABLE gpu_sample ADD COLUMN inferred_cause INTEGER;

ALTER TABLE process_sample ADD COLUMN thread_cpu_pm INTEGER;

ALTER TABLE process_sample ADD COLUMN cpu_throttled_pm INTEGER;

ALTER TABLE process_sample ADD COLUMN run_state INTEGER;

ALTER TABLE host_sample ADD COLUMN steal_pm INTEGER;

ALTER TABLE host_sample ADD COLUMN psi_cpu_pm INTEGER;

ALTER TABLE host_sample ADD COLUMN psi_io_pm INTEGER;

ALTER TABLE host_sample ADD COLUMN psi_memory_pm INTEGER;

ALTER TABLE host_sample ADD COLUMN swap_in_kib INTEGER;

ALTER TABLE gpu ADD COLUMN idle_power_mw INTEGER;

ALTER TABLE process ADD COLUMN visible_gpus TEXT DEFAULT '' NOT NULL;

ALTER TABLE finding ADD COLUMN subject TEXT DEFAULT '' NOT NULL;

ALTER TABLE finding ADD COLUMN gpus TEXT DEFAULT '' NOT NULL;

ALTER TABLE finding ADD COLUMN command TEXT DEFAULT '' NOT NULL;

ALTER TABLE finding ADD COLUMN detail TEXT DEFAULT '' NOT NULL;

ALTER TABLE finding ADD COLUMN effect TEXT DEFAULT '' NOT NULL;

ALTER TABLE finding ADD COLUMN sql TEXT DEFAULT '' NOT NULL;

ALTER TABLE finding ADD COLUMN basis INTEGER DEFAULT '0' NOT NULL;

ALTER TABLE finding ADD COLUMN waste_pm INTEGER;

ALTER TABLE finding ADD COLUMN saved_gpu_ms_day INTEGER;

CREATE TABLE finding_minute (
    finding_id INTEGER NOT NULL,
    t INTEGER NOT NULL,
    measured_pm INTEGER,
    waste_pm INTEGER,
    cost_gpu_ms INTEGER,
    CONSTRAINT pk_finding_minute PRIMARY KEY (finding_id, t)
)
 WITHOUT ROWID;

CREATE TABLE mute (
    mute_id INTEGER NOT NULL,
    host_id INTEGER NOT NULL,
    rule TEXT NOT NULL,
    subject TEXT DEFAULT '' NOT NULL,
    command TEXT DEFAULT '' NOT NULL,
    reason TEXT DEFAULT '' NOT NULL,
    made_ms INTEGER NOT NULL,
    until_ms INTEGER,
    lifted_ms INTEGER,
    CONSTRAINT pk_mute PRIMARY KEY (mute_id),
    CONSTRAINT fk_mute_host_id FOREIGN KEY(host_id) REFERENCES host (host_id)
);

-- What schema 3 added; never changed again.
ALTER TABLE inference_sample ADD COLUMN kv_cache_fullest_pm INTEGER;

ALTER TABLE inference_sample ADD COLUMN server_state INTEGER;

ALTER TABLE inference_sample ADD COLUMN window_ms INTEGER;

ALTER TABLE inference_sample ADD COLUMN prompt_tokens INTEGER;

ALTER TABLE inference_sample ADD COLUMN prefix_query_tokens INTEGER;

ALTER TABLE inference_sample ADD COLUMN prefix_hit_tokens INTEGER;

ALTER TABLE inference_sample ADD COLUMN drafts INTEGER;

ALTER TABLE inference_sample ADD COLUMN draft_tokens INTEGER;

ALTER TABLE inference_sample ADD COLUMN accepted_tokens INTEGER;

ALTER TABLE inference_sample ADD COLUMN finished_stop INTEGER;

ALTER TABLE inference_sample ADD COLUMN finished_length INTEGER;

ALTER TABLE inference_sample ADD COLUMN finished_aborted INTEGER;

ALTER TABLE inference_sample ADD COLUMN finished_error INTEGER;

ALTER TABLE inference_sample ADD COLUMN gflop INTEGER;

ALTER TABLE inference_sample ADD COLUMN ttft_count INTEGER;

ALTER TABLE inference_sample ADD COLUMN ttft_sum_us INTEGER;

ALTER TABLE inference_sample ADD COLUMN itl_count INTEGER;

ALTER TABLE inference_sample ADD COLUMN itl_sum_us INTEGER;

ALTER TABLE inference_sample ADD COLUMN e2e_count INTEGER;

ALTER TABLE inference_sample ADD COLUMN e2e_sum_us INTEGER;

ALTER TABLE inference_sample ADD COLUMN queue_count INTEGER;

ALTER TABLE inference_sample ADD COLUMN queue_sum_us INTEGER;

ALTER TABLE workload_day ADD COLUMN kv_cache_fullest_pm_ms INTEGER;

ALTER TABLE workload_day ADD COLUMN kv_cache_fullest_pm_max INTEGER;

ALTER TABLE workload_day ADD COLUMN window_obs_ms INTEGER;

ALTER TABLE workload_day ADD COLUMN window_ms_sum INTEGER;

ALTER TABLE workload_day ADD COLUMN prompt_obs_ms INTEGER;

ALTER TABLE workload_day ADD COLUMN prompt_tokens_sum INTEGER;

ALTER TABLE workload_day ADD COLUMN prefix_obs_ms INTEGER;

ALTER TABLE workload_day ADD COLUMN prefix_query_tokens_sum INTEGER;

ALTER TABLE workload_day ADD COLUMN prefix_hit_tokens_sum INTEGER;

ALTER TABLE workload_day ADD COLUMN speculation_obs_ms INTEGER;

ALTER TABLE workload_day ADD COLUMN drafts_sum INTEGER;

ALTER TABLE workload_day ADD COLUMN draft_tokens_sum INTEGER;

ALTER TABLE workload_day ADD COLUMN accepted_tokens_sum INTEGER;

ALTER TABLE workload_day ADD COLUMN finished_obs_ms INTEGER;

ALTER TABLE workload_day ADD COLUMN finished_stop_sum INTEGER;

ALTER TABLE workload_day ADD COLUMN finished_length_sum INTEGER;

ALTER TABLE workload_day ADD COLUMN finished_aborted_sum INTEGER;

ALTER TABLE workload_day ADD COLUMN finished_error_sum INTEGER;

ALTER TABLE workload_day ADD COLUMN flops_obs_ms INTEGER;

ALTER TABLE workload_day ADD COLUMN gflop_sum INTEGER;

ALTER TABLE workload_day ADD COLUMN ttft_obs_ms INTEGER;

ALTER TABLE workload_day ADD COLUMN ttft_count_sum INTEGER;

ALTER TABLE workload_day ADD COLUMN ttft_sum_us_sum INTEGER;

ALTER TABLE workload_day ADD COLUMN itl_obs_ms INTEGER;

ALTER TABLE workload_day ADD COLUMN itl_count_sum INTEGER;

ALTER TABLE workload_day ADD COLUMN itl_sum_us_sum INTEGER;

ALTER TABLE workload_day ADD COLUMN e2e_obs_ms INTEGER;

ALTER TABLE workload_day ADD COLUMN e2e_count_sum INTEGER;

ALTER TABLE workload_day ADD COLUMN e2e_sum_us_sum INTEGER;

ALTER TABLE workload_day ADD COLUMN queue_time_obs_ms INTEGER;

ALTER TABLE workload_day ADD COLUMN queue_count_sum INTEGER;

ALTER TABLE workload_day ADD COLUMN queue_sum_us_sum INTEGER;

ALTER TABLE workload_day ADD COLUMN waiting_obs_ms INTEGER;

ALTER TABLE workload_hour ADD COLUMN kv_cache_fullest_pm_ms INTEGER;

ALTER TABLE workload_hour ADD COLUMN kv_cache_fullest_pm_max INTEGER;

ALTER TABLE workload_hour ADD COLUMN window_obs_ms INTEGER;

ALTER TABLE workload_hour ADD COLUMN window_ms_sum INTEGER;

ALTER TABLE workload_hour ADD COLUMN prompt_obs_ms INTEGER;

ALTER TABLE workload_hour ADD COLUMN prompt_tokens_sum INTEGER;

ALTER TABLE workload_hour ADD COLUMN prefix_obs_ms INTEGER;

ALTER TABLE workload_hour ADD COLUMN prefix_query_tokens_sum INTEGER;

ALTER TABLE workload_hour ADD COLUMN prefix_hit_tokens_sum INTEGER;

ALTER TABLE workload_hour ADD COLUMN speculation_obs_ms INTEGER;

ALTER TABLE workload_hour ADD COLUMN drafts_sum INTEGER;

ALTER TABLE workload_hour ADD COLUMN draft_tokens_sum INTEGER;

ALTER TABLE workload_hour ADD COLUMN accepted_tokens_sum INTEGER;

ALTER TABLE workload_hour ADD COLUMN finished_obs_ms INTEGER;

ALTER TABLE workload_hour ADD COLUMN finished_stop_sum INTEGER;

ALTER TABLE workload_hour ADD COLUMN finished_length_sum INTEGER;

ALTER TABLE workload_hour ADD COLUMN finished_aborted_sum INTEGER;

ALTER TABLE workload_hour ADD COLUMN finished_error_sum INTEGER;

ALTER TABLE workload_hour ADD COLUMN flops_obs_ms INTEGER;

ALTER TABLE workload_hour ADD COLUMN gflop_sum INTEGER;

ALTER TABLE workload_hour ADD COLUMN ttft_obs_ms INTEGER;

ALTER TABLE workload_hour ADD COLUMN ttft_count_sum INTEGER;

ALTER TABLE workload_hour ADD COLUMN ttft_sum_us_sum INTEGER;

ALTER TABLE workload_hour ADD COLUMN itl_obs_ms INTEGER;

ALTER TABLE workload_hour ADD COLUMN itl_count_sum INTEGER;

ALTER TABLE workload_hour ADD COLUMN itl_sum_us_sum INTEGER;

ALTER TABLE workload_hour ADD COLUMN e2e_obs_ms INTEGER;

ALTER TABLE workload_hour ADD COLUMN e2e_count_sum INTEGER;

ALTER TABLE workload_hour ADD COLUMN e2e_sum_us_sum INTEGER;

ALTER TABLE workload_hour ADD COLUMN queue_time_obs_ms INTEGER;

ALTER TABLE workload_hour ADD COLUMN queue_count_sum INTEGER;

ALTER TABLE workload_hour ADD COLUMN queue_sum_us_sum INTEGER;

ALTER TABLE workload_hour ADD COLUMN waiting_obs_ms INTEGER;

ALTER TABLE workload_minute ADD COLUMN kv_cache_fullest_pm_ms INTEGER;

ALTER TABLE workload_minute ADD COLUMN kv_cache_fullest_pm_max INTEGER;

ALTER TABLE workload_minute ADD COLUMN window_obs_ms INTEGER;

ALTER TABLE workload_minute ADD COLUMN window_ms_sum INTEGER;

ALTER TABLE workload_minute ADD COLUMN prompt_obs_ms INTEGER;

ALTER TABLE workload_minute ADD COLUMN prompt_tokens_sum INTEGER;

ALTER TABLE workload_minute ADD COLUMN prefix_obs_ms INTEGER;

ALTER TABLE workload_minute ADD COLUMN prefix_query_tokens_sum INTEGER;

ALTER TABLE workload_minute ADD COLUMN prefix_hit_tokens_sum INTEGER;

ALTER TABLE workload_minute ADD COLUMN speculation_obs_ms INTEGER;

ALTER TABLE workload_minute ADD COLUMN drafts_sum INTEGER;

ALTER TABLE workload_minute ADD COLUMN draft_tokens_sum INTEGER;

ALTER TABLE workload_minute ADD COLUMN accepted_tokens_sum INTEGER;

ALTER TABLE workload_minute ADD COLUMN finished_obs_ms INTEGER;

ALTER TABLE workload_minute ADD COLUMN finished_stop_sum INTEGER;

ALTER TABLE workload_minute ADD COLUMN finished_length_sum INTEGER;

ALTER TABLE workload_minute ADD COLUMN finished_aborted_sum INTEGER;

ALTER TABLE workload_minute ADD COLUMN finished_error_sum INTEGER;

ALTER TABLE workload_minute ADD COLUMN flops_obs_ms INTEGER;

ALTER TABLE workload_minute ADD COLUMN gflop_sum INTEGER;

ALTER TABLE workload_minute ADD COLUMN ttft_obs_ms INTEGER;

ALTER TABLE workload_minute ADD COLUMN ttft_count_sum INTEGER;

ALTER TABLE workload_minute ADD COLUMN ttft_sum_us_sum INTEGER;

ALTER TABLE workload_minute ADD COLUMN itl_obs_ms INTEGER;

ALTER TABLE workload_minute ADD COLUMN itl_count_sum INTEGER;

ALTER TABLE workload_minute ADD COLUMN itl_sum_us_sum INTEGER;

ALTER TABLE workload_minute ADD COLUMN e2e_obs_ms INTEGER;

ALTER TABLE workload_minute ADD COLUMN e2e_count_sum INTEGER;

ALTER TABLE workload_minute ADD COLUMN e2e_sum_us_sum INTEGER;

ALTER TABLE workload_minute ADD COLUMN queue_time_obs_ms INTEGER;

ALTER TABLE workload_minute ADD COLUMN queue_count_sum INTEGER;

ALTER TABLE workload_minute ADD COLUMN queue_sum_us_sum INTEGER;

ALTER TABLE workload_minute ADD COLUMN waiting_obs_ms INTEGER;

CREATE TABLE latency_day (
    t INTEGER NOT NULL,
    workload_id INTEGER NOT NULL,
    latency INTEGER NOT NULL,
    lower_us INTEGER NOT NULL,
    upper_us INTEGER NOT NULL,
    n INTEGER NOT NULL,
    CONSTRAINT pk_latency_day PRIMARY KEY (t, workload_id, latency, lower_us, upper_us)
)
 WITHOUT ROWID;

CREATE TABLE latency_hour (
    t INTEGER NOT NULL,
    workload_id INTEGER NOT NULL,
    latency INTEGER NOT NULL,
    lower_us INTEGER NOT NULL,
    upper_us INTEGER NOT NULL,
    n INTEGER NOT NULL,
    CONSTRAINT pk_latency_hour PRIMARY KEY (t, workload_id, latency, lower_us, upper_us)
)
 WITHOUT ROWID;

CREATE TABLE latency_minute (
    t INTEGER NOT NULL,
    workload_id INTEGER NOT NULL,
    latency INTEGER NOT NULL,
    lower_us INTEGER NOT NULL,
    upper_us INTEGER NOT NULL,
    n INTEGER NOT NULL,
    CONSTRAINT pk_latency_minute PRIMARY KEY (t, workload_id, latency, lower_us, upper_us)
)
 WITHOUT ROWID;

CREATE TABLE latency_sample (
    tick_id INTEGER NOT NULL,
    workload_id INTEGER NOT NULL,
    latency INTEGER NOT NULL,
    lower_us INTEGER NOT NULL,
    upper_us INTEGER NOT NULL,
    n INTEGER NOT NULL,
    CONSTRAINT pk_latency_sample PRIMARY KEY (tick_id, workload_id, latency, lower_us, upper_us)
)
 WITHOUT ROWID;

CREATE TABLE server (
    workload_id INTEGER NOT NULL,
    state INTEGER NOT NULL,
    detail TEXT DEFAULT '' NOT NULL,
    hint TEXT DEFAULT '' NOT NULL,
    url TEXT DEFAULT '' NOT NULL,
    engine TEXT DEFAULT '' NOT NULL,
    engine_version TEXT DEFAULT '' NOT NULL,
    served_model TEXT DEFAULT '' NOT NULL,
    verified INTEGER DEFAULT '1' NOT NULL,
    max_model_tokens INTEGER,
    max_running_requests INTEGER,
    kv_cache_tokens INTEGER,
    interval_ms INTEGER NOT NULL,
    scrape_us INTEGER,
    page_bytes INTEGER,
    first_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    CONSTRAINT pk_server PRIMARY KEY (workload_id),
    CONSTRAINT fk_server_workload_id FOREIGN KEY(workload_id) REFERENCES workload (workload_id)
);

CREATE TABLE server_field (
    workload_id INTEGER NOT NULL,
    field TEXT NOT NULL,
    quality INTEGER NOT NULL,
    source TEXT DEFAULT '' NOT NULL,
    since_ms INTEGER NOT NULL,
    CONSTRAINT pk_server_field PRIMARY KEY (workload_id, field),
    CONSTRAINT fk_server_field_workload_id FOREIGN KEY(workload_id) REFERENCES workload (workload_id)
)
 WITHOUT ROWID;

-- What schema 3 added; never changed again.
ALTER TABLE inference_sample ADD COLUMN kv_cache_fullest_pm BIGINT;

ALTER TABLE inference_sample ADD COLUMN server_state BIGINT;

ALTER TABLE inference_sample ADD COLUMN window_ms BIGINT;

ALTER TABLE inference_sample ADD COLUMN prompt_tokens BIGINT;

ALTER TABLE inference_sample ADD COLUMN prefix_query_tokens BIGINT;

ALTER TABLE inference_sample ADD COLUMN prefix_hit_tokens BIGINT;

ALTER TABLE inference_sample ADD COLUMN drafts BIGINT;

ALTER TABLE inference_sample ADD COLUMN draft_tokens BIGINT;

ALTER TABLE inference_sample ADD COLUMN accepted_tokens BIGINT;

ALTER TABLE inference_sample ADD COLUMN finished_stop BIGINT;

ALTER TABLE inference_sample ADD COLUMN finished_length BIGINT;

ALTER TABLE inference_sample ADD COLUMN finished_aborted BIGINT;

ALTER TABLE inference_sample ADD COLUMN finished_error BIGINT;

ALTER TABLE inference_sample ADD COLUMN gflop BIGINT;

ALTER TABLE inference_sample ADD COLUMN ttft_count BIGINT;

ALTER TABLE inference_sample ADD COLUMN ttft_sum_us BIGINT;

ALTER TABLE inference_sample ADD COLUMN itl_count BIGINT;

ALTER TABLE inference_sample ADD COLUMN itl_sum_us BIGINT;

ALTER TABLE inference_sample ADD COLUMN e2e_count BIGINT;

ALTER TABLE inference_sample ADD COLUMN e2e_sum_us BIGINT;

ALTER TABLE inference_sample ADD COLUMN queue_count BIGINT;

ALTER TABLE inference_sample ADD COLUMN queue_sum_us BIGINT;

ALTER TABLE workload_day ADD COLUMN kv_cache_fullest_pm_ms BIGINT;

ALTER TABLE workload_day ADD COLUMN kv_cache_fullest_pm_max BIGINT;

ALTER TABLE workload_day ADD COLUMN window_obs_ms BIGINT;

ALTER TABLE workload_day ADD COLUMN window_ms_sum BIGINT;

ALTER TABLE workload_day ADD COLUMN prompt_obs_ms BIGINT;

ALTER TABLE workload_day ADD COLUMN prompt_tokens_sum BIGINT;

ALTER TABLE workload_day ADD COLUMN prefix_obs_ms BIGINT;

ALTER TABLE workload_day ADD COLUMN prefix_query_tokens_sum BIGINT;

ALTER TABLE workload_day ADD COLUMN prefix_hit_tokens_sum BIGINT;

ALTER TABLE workload_day ADD COLUMN speculation_obs_ms BIGINT;

ALTER TABLE workload_day ADD COLUMN drafts_sum BIGINT;

ALTER TABLE workload_day ADD COLUMN draft_tokens_sum BIGINT;

ALTER TABLE workload_day ADD COLUMN accepted_tokens_sum BIGINT;

ALTER TABLE workload_day ADD COLUMN finished_obs_ms BIGINT;

ALTER TABLE workload_day ADD COLUMN finished_stop_sum BIGINT;

ALTER TABLE workload_day ADD COLUMN finished_length_sum BIGINT;

ALTER TABLE workload_day ADD COLUMN finished_aborted_sum BIGINT;

ALTER TABLE workload_day ADD COLUMN finished_error_sum BIGINT;

ALTER TABLE workload_day ADD COLUMN flops_obs_ms BIGINT;

ALTER TABLE workload_day ADD COLUMN gflop_sum BIGINT;

ALTER TABLE workload_day ADD COLUMN ttft_obs_ms BIGINT;

ALTER TABLE workload_day ADD COLUMN ttft_count_sum BIGINT;

ALTER TABLE workload_day ADD COLUMN ttft_sum_us_sum BIGINT;

ALTER TABLE workload_day ADD COLUMN itl_obs_ms BIGINT;

ALTER TABLE workload_day ADD COLUMN itl_count_sum BIGINT;

ALTER TABLE workload_day ADD COLUMN itl_sum_us_sum BIGINT;

ALTER TABLE workload_day ADD COLUMN e2e_obs_ms BIGINT;

ALTER TABLE workload_day ADD COLUMN e2e_count_sum BIGINT;

ALTER TABLE workload_day ADD COLUMN e2e_sum_us_sum BIGINT;

ALTER TABLE workload_day ADD COLUMN queue_time_obs_ms BIGINT;

ALTER TABLE workload_day ADD COLUMN queue_count_sum BIGINT;

ALTER TABLE workload_day ADD COLUMN queue_sum_us_sum BIGINT;

ALTER TABLE workload_day ADD COLUMN waiting_obs_ms BIGINT;

ALTER TABLE workload_hour ADD COLUMN kv_cache_fullest_pm_ms BIGINT;

ALTER TABLE workload_hour ADD COLUMN kv_cache_fullest_pm_max BIGINT;

ALTER TABLE workload_hour ADD COLUMN window_obs_ms BIGINT;

ALTER TABLE workload_hour ADD COLUMN window_ms_sum BIGINT;

ALTER TABLE workload_hour ADD COLUMN prompt_obs_ms BIGINT;

ALTER TABLE workload_hour ADD COLUMN prompt_tokens_sum BIGINT;

ALTER TABLE workload_hour ADD COLUMN prefix_obs_ms BIGINT;

ALTER TABLE workload_hour ADD COLUMN prefix_query_tokens_sum BIGINT;

ALTER TABLE workload_hour ADD COLUMN prefix_hit_tokens_sum BIGINT;

ALTER TABLE workload_hour ADD COLUMN speculation_obs_ms BIGINT;

ALTER TABLE workload_hour ADD COLUMN drafts_sum BIGINT;

ALTER TABLE workload_hour ADD COLUMN draft_tokens_sum BIGINT;

ALTER TABLE workload_hour ADD COLUMN accepted_tokens_sum BIGINT;

ALTER TABLE workload_hour ADD COLUMN finished_obs_ms BIGINT;

ALTER TABLE workload_hour ADD COLUMN finished_stop_sum BIGINT;

ALTER TABLE workload_hour ADD COLUMN finished_length_sum BIGINT;

ALTER TABLE workload_hour ADD COLUMN finished_aborted_sum BIGINT;

ALTER TABLE workload_hour ADD COLUMN finished_error_sum BIGINT;

ALTER TABLE workload_hour ADD COLUMN flops_obs_ms BIGINT;

ALTER TABLE workload_hour ADD COLUMN gflop_sum BIGINT;

ALTER TABLE workload_hour ADD COLUMN ttft_obs_ms BIGINT;

ALTER TABLE workload_hour ADD COLUMN ttft_count_sum BIGINT;

ALTER TABLE workload_hour ADD COLUMN ttft_sum_us_sum BIGINT;

ALTER TABLE workload_hour ADD COLUMN itl_obs_ms BIGINT;

ALTER TABLE workload_hour ADD COLUMN itl_count_sum BIGINT;

ALTER TABLE workload_hour ADD COLUMN itl_sum_us_sum BIGINT;

ALTER TABLE workload_hour ADD COLUMN e2e_obs_ms BIGINT;

ALTER TABLE workload_hour ADD COLUMN e2e_count_sum BIGINT;

ALTER TABLE workload_hour ADD COLUMN e2e_sum_us_sum BIGINT;

ALTER TABLE workload_hour ADD COLUMN queue_time_obs_ms BIGINT;

ALTER TABLE workload_hour ADD COLUMN queue_count_sum BIGINT;

ALTER TABLE workload_hour ADD COLUMN queue_sum_us_sum BIGINT;

ALTER TABLE workload_hour ADD COLUMN waiting_obs_ms BIGINT;

ALTER TABLE workload_minute ADD COLUMN kv_cache_fullest_pm_ms BIGINT;

ALTER TABLE workload_minute ADD COLUMN kv_cache_fullest_pm_max BIGINT;

ALTER TABLE workload_minute ADD COLUMN window_obs_ms BIGINT;

ALTER TABLE workload_minute ADD COLUMN window_ms_sum BIGINT;

ALTER TABLE workload_minute ADD COLUMN prompt_obs_ms BIGINT;

ALTER TABLE workload_minute ADD COLUMN prompt_tokens_sum BIGINT;

ALTER TABLE workload_minute ADD COLUMN prefix_obs_ms BIGINT;

ALTER TABLE workload_minute ADD COLUMN prefix_query_tokens_sum BIGINT;

ALTER TABLE workload_minute ADD COLUMN prefix_hit_tokens_sum BIGINT;

ALTER TABLE workload_minute ADD COLUMN speculation_obs_ms BIGINT;

ALTER TABLE workload_minute ADD COLUMN drafts_sum BIGINT;

ALTER TABLE workload_minute ADD COLUMN draft_tokens_sum BIGINT;

ALTER TABLE workload_minute ADD COLUMN accepted_tokens_sum BIGINT;

ALTER TABLE workload_minute ADD COLUMN finished_obs_ms BIGINT;

ALTER TABLE workload_minute ADD COLUMN finished_stop_sum BIGINT;

ALTER TABLE workload_minute ADD COLUMN finished_length_sum BIGINT;

ALTER TABLE workload_minute ADD COLUMN finished_aborted_sum BIGINT;

ALTER TABLE workload_minute ADD COLUMN finished_error_sum BIGINT;

ALTER TABLE workload_minute ADD COLUMN flops_obs_ms BIGINT;

ALTER TABLE workload_minute ADD COLUMN gflop_sum BIGINT;

ALTER TABLE workload_minute ADD COLUMN ttft_obs_ms BIGINT;

ALTER TABLE workload_minute ADD COLUMN ttft_count_sum BIGINT;

ALTER TABLE workload_minute ADD COLUMN ttft_sum_us_sum BIGINT;

ALTER TABLE workload_minute ADD COLUMN itl_obs_ms BIGINT;

ALTER TABLE workload_minute ADD COLUMN itl_count_sum BIGINT;

ALTER TABLE workload_minute ADD COLUMN itl_sum_us_sum BIGINT;

ALTER TABLE workload_minute ADD COLUMN e2e_obs_ms BIGINT;

ALTER TABLE workload_minute ADD COLUMN e2e_count_sum BIGINT;

ALTER TABLE workload_minute ADD COLUMN e2e_sum_us_sum BIGINT;

ALTER TABLE workload_minute ADD COLUMN queue_time_obs_ms BIGINT;

ALTER TABLE workload_minute ADD COLUMN queue_count_sum BIGINT;

ALTER TABLE workload_minute ADD COLUMN queue_sum_us_sum BIGINT;

ALTER TABLE workload_minute ADD COLUMN waiting_obs_ms BIGINT;

CREATE TABLE latency_day (
    t BIGINT NOT NULL,
    workload_id BIGINT NOT NULL,
    latency BIGINT NOT NULL,
    lower_us BIGINT NOT NULL,
    upper_us BIGINT NOT NULL,
    n BIGINT NOT NULL,
    CONSTRAINT pk_latency_day PRIMARY KEY (t, workload_id, latency, lower_us, upper_us)
);

CREATE TABLE latency_hour (
    t BIGINT NOT NULL,
    workload_id BIGINT NOT NULL,
    latency BIGINT NOT NULL,
    lower_us BIGINT NOT NULL,
    upper_us BIGINT NOT NULL,
    n BIGINT NOT NULL,
    CONSTRAINT pk_latency_hour PRIMARY KEY (t, workload_id, latency, lower_us, upper_us)
);

CREATE TABLE latency_minute (
    t BIGINT NOT NULL,
    workload_id BIGINT NOT NULL,
    latency BIGINT NOT NULL,
    lower_us BIGINT NOT NULL,
    upper_us BIGINT NOT NULL,
    n BIGINT NOT NULL,
    CONSTRAINT pk_latency_minute PRIMARY KEY (t, workload_id, latency, lower_us, upper_us)
);

CREATE TABLE latency_sample (
    tick_id BIGINT NOT NULL,
    workload_id BIGINT NOT NULL,
    latency BIGINT NOT NULL,
    lower_us BIGINT NOT NULL,
    upper_us BIGINT NOT NULL,
    n BIGINT NOT NULL,
    CONSTRAINT pk_latency_sample PRIMARY KEY (tick_id, workload_id, latency, lower_us, upper_us)
);

CREATE TABLE server (
    workload_id BIGINT NOT NULL,
    state BIGINT NOT NULL,
    detail TEXT DEFAULT '' NOT NULL,
    hint TEXT DEFAULT '' NOT NULL,
    url TEXT DEFAULT '' NOT NULL,
    engine TEXT DEFAULT '' NOT NULL,
    engine_version TEXT DEFAULT '' NOT NULL,
    served_model TEXT DEFAULT '' NOT NULL,
    verified BIGINT DEFAULT '1' NOT NULL,
    max_model_tokens BIGINT,
    max_running_requests BIGINT,
    kv_cache_tokens BIGINT,
    interval_ms BIGINT NOT NULL,
    scrape_us BIGINT,
    page_bytes BIGINT,
    first_ms BIGINT NOT NULL,
    last_ms BIGINT NOT NULL,
    CONSTRAINT pk_server PRIMARY KEY (workload_id),
    CONSTRAINT fk_server_workload_id FOREIGN KEY(workload_id) REFERENCES workload (workload_id)
);

CREATE TABLE server_field (
    workload_id BIGINT NOT NULL,
    field TEXT NOT NULL,
    quality BIGINT NOT NULL,
    source TEXT DEFAULT '' NOT NULL,
    since_ms BIGINT NOT NULL,
    CONSTRAINT pk_server_field PRIMARY KEY (workload_id, field),
    CONSTRAINT fk_server_field_workload_id FOREIGN KEY(workload_id) REFERENCES workload (workload_id)
);

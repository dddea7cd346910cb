"""Worked queries about trainings: as those of ``worked``, and beside them in ``docs/schema.md``."""

from __future__ import annotations

from gpuwatch.store.worked import Worked

_LAST_DAYS = "started_ms >= 1000 * CAST(strftime('%s', 'now', '-30 days') AS INTEGER)"

WORKED_TRAINING = (
    Worked(
        "runs-per-gpu-day",
        "How many experiments did each user get out of a GPU-day in the last 30 days, and how long did they wait for the first step?",
        f"""\
SELECT host, coalesce("user", '(not visible)') AS who, count(*) AS runs, sum(failed) AS failed, sum(gpu_seconds) / 86400 AS gpu_days,
       86400 * count(*) / nullif(sum(gpu_seconds), 0) AS runs_per_gpu_day, avg(first_step_seconds) AS seconds_to_first_step
FROM v_run
WHERE gpu_seconds IS NOT NULL AND {_LAST_DAYS}
GROUP BY host, "user"
ORDER BY gpu_days DESC""",
        """\
host  who    runs  failed  gpu_days  runs_per_gpu_day  seconds_to_first_step
lab   alice    41       6      38.2              1.07                   94.1
lab   bob      12       0       4.9              2.45                   31.7""",
        "Runs that are still running count, with what they have held so far. `failed` counts those that failed or died; of a run whose end nobody "
        "watched it is not known.",
    ),
    Worked(
        "failed-runs",
        "What did runs that failed or died cost in the last 30 days, and how much of it came after the last checkpoint?",
        f"""\
SELECT host, coalesce("user", '(not visible)') AS who, outcome, count(*) AS runs, sum(gpu_seconds) / 3600 AS gpu_hours,
       sum(lost_gpu_seconds) / 3600 AS lost_gpu_hours_at_most, sum(energy_joules) / 3.6e6 AS kwh
FROM v_run
WHERE failed = 1 AND {_LAST_DAYS}
GROUP BY host, "user", outcome
ORDER BY gpu_hours DESC""",
        """\
host  who    outcome  runs  gpu_hours  lost_gpu_hours_at_most    kwh
lab   alice  failed      5      141.0                    12.4   71.3
lab   alice  died        1       22.5                     6.1   11.8""",
        "What lies before the last checkpoint is of use only to who goes on from it.",
    ),
    Worked(
        "run-by-hour",
        "How fast was the newest run in each hour, and where did its time go?",
        """\
SELECT datetime(w.t, 'unixepoch') AS hour, w.tokens_total / w.observed_seconds AS tokens_per_second,
       100 * data_wait_seconds / attached_seconds AS data_percent,
       100 * (forward_seconds + backward_seconds + optimizer_seconds) / attached_seconds AS step_percent,
       100 * checkpoint_seconds / attached_seconds AS checkpoint_percent, 100 * eval_seconds / attached_seconds AS eval_percent,
       100 * (starting_seconds + compile_seconds + other_seconds) / attached_seconds AS else_percent
FROM v_workload_hour w
JOIN v_run r ON r.host = w.host AND r.root_pid = w.root_pid AND r.root_start_ms = w.root_start_ms
WHERE attached_seconds > 0 AND r.started_ms = (SELECT max(started_ms) FROM v_run)
ORDER BY w.t""",
        """\
hour                 tokens_per_second  data_percent  step_percent  checkpoint_percent  eval_percent  else_percent
2026-03-09 13:00:00            41822.0           3.1          79.0                 2.2           0.0          15.7
2026-03-09 14:00:00            52310.4           2.9          92.6                 2.1           1.9           0.5""",
        "`observed_seconds` is time as on a clock; `attached_seconds` and the phases are those of all ranks together.",
    ),
    Worked(
        "padding",
        "What share of the tokens of each training was padding?",
        """\
SELECT w.host, w.name, coalesce(w."user", '(not visible)') AS who, sum(counted_tokens_total) AS tokens,
       100.0 * (1 - sum(nonpad_tokens_total) * 1.0 / sum(counted_tokens_total)) AS padding_percent
FROM v_workload_hour w
WHERE counted_tokens_total > 0 AND nonpad_tokens_total IS NOT NULL
GROUP BY w.host, w.name, w."user"
ORDER BY padding_percent DESC""",
        """\
host  name     who       tokens  padding_percent
lab   sft.py   alice  181000000             41.7
lab   dpo.py   bob     22400000             12.0""",
        "Only batches whose padding was counted: those that have an attention mask at hand.",
    ),
    Worked(
        "stragglers",
        "Which rank do the others wait for just now?",
        """\
SELECT host, name, pid, rank, state, phase_age_seconds, 100 * data_wait_seconds / attached_seconds AS data_percent,
       100 * backward_seconds / attached_seconds
         - 100 * avg(backward_seconds / attached_seconds) OVER (PARTITION BY host, root_pid, root_start_ms) AS backward_points
FROM v_training_now
WHERE attached_seconds > 0
ORDER BY host, name, backward_points""",
        """\
host  name      pid  rank  state     phase_age_seconds  data_percent  backward_points
lab   train.py  712     3  data                    0.4          31.0            -19.2
lab   train.py  709     0  backward                0.1           2.2              6.1""",
        "Ranks wait for each other in the backward pass, where gradients are exchanged: who spends less time there than the others is the one that "
        "is waited for, and `data_percent` may say why. One row is a second or two; look again before you believe it. A rank that has been in one "
        "phase for long hangs there.",
    ),
)

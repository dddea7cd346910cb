"""Worked queries about inference servers: as those of ``worked``, and beside them in ``docs/schema.md``."""

from __future__ import annotations

from gpuwatch.store.worked import LAST_DAYS, Worked

WORKED_INFERENCE = (
    Worked(
        "tokens-per-gpu",
        "How many tokens per second does each model generate per GPU, by day?",
        """\
WITH held AS (
  SELECT d.host, d.t, p.workload_pid, p.workload_start_ms, count(DISTINCT d.gpu_uuid) AS gpus
  FROM v_process_day d JOIN v_process p ON p.host = d.host AND p.pid = d.pid AND p.start_ms = d.start_ms
  WHERE d.gpu_uuid IS NOT NULL AND p.workload_pid <> 0
  GROUP BY d.host, d.t, p.workload_pid, p.workload_start_ms)
SELECT w.host, date(w.t + 43200 + utc_offset_seconds, 'unixepoch') AS day, w.model, sum(output_tokens_total) AS output_tokens,
       sum(output_tokens_total) / sum(window_seconds * gpus) AS tokens_per_second_per_gpu
FROM v_workload_day w JOIN v_host ON v_host.host = w.host
JOIN held ON held.host = w.host AND held.t = w.t AND workload_pid = root_pid AND workload_start_ms = root_start_ms
WHERE output_tokens_total IS NOT NULL
GROUP BY w.host, w.t, utc_offset_seconds, w.model
ORDER BY w.host, w.t, w.model""",
        """\
host  day         model          output_tokens  tokens_per_second_per_gpu
lab   2026-03-09  Qwen/Qwen3-8B       38800000                      449.1
lab   2026-03-10  Qwen/Qwen3-8B       40100000                      464.1""",
        "`window_seconds` adds up the time between the readings that the tokens were counted between: time in which nothing was counted is in "
        "neither number. A GPU counts for as long as its server was read, also while the server had nothing to do.",
    ),
    Worked(
        "joules-per-token",
        "What energy does an output token cost, by model, where the GPUs were the server's alone?",
        f"""\
WITH pairs AS (
  SELECT DISTINCT m.host, m.t, m.gpu_uuid, p.workload_pid, p.workload_start_ms
  FROM v_process_minute m JOIN v_process p ON p.host = m.host AND p.pid = m.pid AND p.start_ms = m.start_ms
  WHERE m.gpu_uuid IS NOT NULL AND m.{LAST_DAYS.format(7)}),
held AS (
  SELECT host, t, gpu_uuid, workload_pid, workload_start_ms, count(*) OVER (PARTITION BY host, t, gpu_uuid) AS holders FROM pairs),
used AS (
  SELECT held.host, held.t, workload_pid, workload_start_ms, sum(energy_joules) AS joules
  FROM held JOIN v_gpu_minute g ON g.host = held.host AND g.t = held.t AND g.gpu_uuid = held.gpu_uuid
  WHERE workload_pid <> 0
  GROUP BY held.host, held.t, workload_pid, workload_start_ms
  HAVING max(holders) = 1 AND count(energy_joules) = count(*)),
served AS (
  SELECT host, t, root_pid, root_start_ms, max(model) AS model, sum(output_tokens_total) AS tokens
  FROM v_workload_minute
  WHERE output_tokens_total IS NOT NULL AND {LAST_DAYS.format(7)}
  GROUP BY host, t, root_pid, root_start_ms)
SELECT served.host, model, sum(tokens) AS output_tokens, sum(joules) / nullif(sum(tokens), 0) AS joules_per_output_token
FROM served JOIN used ON used.host = served.host AND used.t = served.t AND workload_pid = root_pid AND workload_start_ms = root_start_ms
GROUP BY served.host, model
ORDER BY joules_per_output_token""",
        """\
host  model                   output_tokens  joules_per_output_token
lab   Qwen/Qwen3-8B               280700000                     0.52
lab   meta-llama/Llama-3-70B        9100000                     6.31""",
        "All energy of the GPUs in those minutes, that of prompts and of waiting for requests included. Minutes in which any GPU of the server "
        "was shared with another workload, or with a process of none, are left out, tokens and energy.",
    ),
    Worked(
        "p95-ttft",
        "How long do 95 % of the requests wait for their first token at most, by model, over the last 30 days?",
        f"""\
WITH bucket AS (
  SELECT model, lower_seconds AS lo, upper_seconds AS hi, sum(count) AS n
  FROM v_latency_hour
  WHERE latency = 'ttft' AND {LAST_DAYS.format(30)}
  GROUP BY model, lower_seconds, upper_seconds),
edge AS (SELECT model, lo AS x FROM bucket UNION SELECT model, hi FROM bucket WHERE hi IS NOT NULL),
part AS (SELECT model, x AS lo, lead(x) OVER (PARTITION BY model ORDER BY x) AS hi FROM edge),
piece AS (
  SELECT part.model, part.lo, part.hi, sum(n * (part.hi - part.lo) / (bucket.hi - bucket.lo)) AS n, max(bucket.hi - bucket.lo) AS width
  FROM part JOIN bucket ON bucket.model = part.model AND bucket.lo <= part.lo AND bucket.hi >= part.hi
  GROUP BY part.model, part.lo, part.hi),
running AS (SELECT model, lo, hi, n, width, sum(n) OVER (PARTITION BY model ORDER BY lo) AS upto FROM piece),
total AS (SELECT model, sum(n) AS requests, 0.95 * sum(n) AS wanted FROM bucket GROUP BY model)
SELECT total.model, requests, lo + (hi - lo) * (wanted - (upto - n)) / n AS p95_seconds, width AS bucket_seconds
FROM total LEFT JOIN running ON running.model = total.model AND upto >= wanted AND upto - n < wanted
ORDER BY total.model""",
        """\
model                   requests  p95_seconds  bucket_seconds
Qwen/Qwen3-8B             412033        0.231           0.150
meta-llama/Llama-3-70B      8210        1.874           1.000""",
        "A server only tells how many requests fell into each of its buckets. Requests are taken to lie evenly in their bucket; the true value lies "
        "anywhere in it, so the answer is off by at most `bucket_seconds`, the width of the bucket. Buckets of servers or versions with other "
        "bounds are cut at all bounds and added up. NULL: it lies in a bucket without an upper bound, beyond all others.",
    ),
)

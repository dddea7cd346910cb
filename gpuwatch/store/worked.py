"""The worked queries of ``docs/schema.md``: questions that teams ask, as SQL on the public views, each with an answer as it looks.

The SQL is SQLite's. PostgreSQL takes the same but for functions of dates; :func:`postgresql` writes those as it does.
"""

from __future__ import annotations

import re

from gpuwatch.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Worked:
    """``answer`` shows how the answer looks, numbers rounded; ``note`` says what one must know to believe it."""

    name: str
    question: str
    sql: str
    answer: str
    note: str = ""


LAST_DAYS = "t >= CAST(strftime('%s', 'now', '-{} days') AS INTEGER)"
"""``t`` is a key and the rest a constant: a subquery here would make SQLite read all of ``v_ledger_hour``."""

DAYS = """\
`t` is UTC. A row of `v_gpu_day`, `v_process_day` or `v_workload_day` is one local day of its host (`v_host.timezone`) and there is
one as soon as that day is over; `t` is its midnight. Its date is that of its noon, whatever the clocks did that day:
`date(t + 43200 + utc_offset_seconds, 'unixepoch')`. A day on which nobody recorded has no row.

A clock time made with `utc_offset_seconds` (what the host's clocks have now) is an hour off for times before the clocks were last changed.
Asked on the host itself, `datetime(t, 'unixepoch', 'localtime')` is right for all times; on PostgreSQL, `to_timestamp(t) AT TIME ZONE timezone` is.
"""

POSTGRESQL = """\
On PostgreSQL write

- `to_char(to_timestamp(X) AT TIME ZONE 'UTC', 'YYYY-MM-DD')` for `date(X, 'unixepoch')`, and with `'YYYY-MM-DD HH24:MI:SS'` for `datetime(X, 'unixepoch')`,
- `extract(epoch FROM now() - interval '7 days')` for `CAST(strftime('%s', 'now', '-7 days') AS INTEGER)`,
- `extract(epoch FROM date_trunc('day', now()))` for the start of today, with `- interval '1 day'` in it for that of yesterday.

Everything else is the same there.
"""

WORKED = (
    Worked(
        "utilization-per-day",
        "What was the mean utilization of each GPU on each day?",
        """\
SELECT host, gpu_index, date(t + 43200 + utc_offset_seconds, 'unixepoch') AS day,
       100 * utilization_ratio AS utilization_percent, observed_seconds / 3600 AS observed_hours
FROM v_gpu_day JOIN v_host USING (host)
ORDER BY host, gpu_index, t""",
        """\
host     gpu_index  day         utilization_percent  observed_hours
demo-01          0  2025-11-12                 86.8            11.5
demo-01          0  2025-11-13                 75.4            24.0
demo-01          1  2025-11-12                 86.7            11.5""",
        "The mean is over the time in which utilization was measured. Today has no row yet: it is in `v_gpu_hour` and `v_gpu_minute`.",
    ),
    Worked(
        "idle-hours-per-user",
        "How many GPU-hours did each user hold without working in the last 7 days, and what energy went into that?",
        f"""\
SELECT coalesce("user", '(not visible)') AS who, sum(ms) / 3600000.0 AS gpu_hours, sum(energy_mj) / 3.6e9 AS kwh
FROM v_ledger_hour
WHERE bucket = 'held_idle' AND {LAST_DAYS.format(7)}
GROUP BY "user"
ORDER BY gpu_hours DESC""",
        """\
who  gpu_hours  kwh
bob       50.9  5.9""",
        "`held_idle`: somebody holds the GPU and has done nothing for at least five minutes. The youngest hours are in `v_ledger_minute`.",
    ),
    Worked(
        "idle-processes",
        "Which processes hold GPUs for longest without using them?",
        f"""\
SELECT host, gpu_index, "user", process, pid, sum(ms) / 3600000.0 AS idle_gpu_hours
FROM v_ledger_hour
WHERE bucket = 'held_idle' AND {LAST_DAYS.format(7)}
GROUP BY host, gpu_index, "user", process, pid, start_ms
ORDER BY idle_gpu_hours DESC, pid
LIMIT 10""",
        """\
host     gpu_index  user  process    pid  idle_gpu_hours
demo-01          5  bob   python3  40110            20.5
demo-01          5  bob   python3  48213            15.2
demo-01          6  bob   python3  48213            15.2""",
    ),
    Worked(
        "memory-holders",
        "Who holds the most GPU memory?",
        f"""\
SELECT host, "user", name, pid, max(gpu_memory_max_bytes) / 1073741824.0 AS peak_gib,
       sum(gpu_memory_bytes * observed_seconds) / 1073741824.0 / 3600 AS gib_hours
FROM v_process_hour
WHERE gpu_memory_bytes IS NOT NULL AND {LAST_DAYS.format(7)}
GROUP BY host, "user", name, pid, start_ms
ORDER BY gib_hours DESC
LIMIT 10""",
        """\
host     user   name       pid  peak_gib  gib_hours
demo-01  svc    vllm     33071      74.6     3690.2
demo-01  alice  python3  41230      71.2     3552.6
demo-01  dave   python3  60210      66.3     2729.3""",
        "`peak_gib` is the highest on one GPU; `gib_hours` adds up all GPUs of the process.",
    ),
    Worked(
        "energy-per-day",
        "How much energy did the GPUs use each day, and how much of it while they did nothing?",
        """\
SELECT host, date(t + 43200 + utc_offset_seconds, 'unixepoch') AS day,
       sum(energy_joules) / 3.6e6 AS kwh, sum(quiet_energy_joules) / 3.6e6 AS kwh_while_quiet
FROM v_gpu_day JOIN v_host USING (host)
GROUP BY host, t, utc_offset_seconds
ORDER BY host, t""",
        """\
host     day          kwh  kwh_while_quiet
demo-01  2025-11-12  39.2              2.0
demo-01  2025-11-13  85.0              3.4""",
        "Energy of observed time. `energy_source` says whether it is the counter's or integrated power.",
    ),
    Worked(
        "last-busy",
        "When was GPU 3 last busy?",
        """\
SELECT host, max(t) AS t, datetime(max(t) + max(utc_offset_seconds), 'unixepoch') AS local_time
FROM (SELECT host, t FROM v_gpu_minute WHERE gpu_index = 3 AND quiet_seconds < observed_seconds
      UNION ALL
      SELECT host, t FROM v_gpu_hour WHERE gpu_index = 3 AND quiet_seconds < observed_seconds) AS busy
JOIN v_host USING (host)
GROUP BY host""",
        """\
host              t  local_time
demo-01  1763130660  2025-11-14 14:31:00""",
        "The start of the newest minute that was not all quiet; of the hour, where its minutes are no longer kept.",
    ),
    Worked(
        "coverage-per-day",
        "How much of each day was observed?",
        """\
SELECT host, date(t + 43200 + utc_offset_seconds, 'unixepoch') AS day, count(*) AS gpus,
       sum(observed_seconds) / 3600 AS observed_gpu_hours, 24 * count(*) - sum(observed_seconds) / 3600 AS not_observed_gpu_hours
FROM v_gpu_day JOIN v_host USING (host)
GROUP BY host, t, utc_offset_seconds
ORDER BY host, t""",
        """\
host     day         gpus  observed_gpu_hours  not_observed_gpu_hours
demo-01  2025-11-12     8                91.7                   100.3
demo-01  2025-11-13     8               192.0                     0.0""",
        "For the two days a year on which clocks change write 23 or 25 instead of 24. Time that was not observed is neither idle nor busy.",
    ),
    Worked(
        "gaps",
        "When was nothing recorded, and why?",
        """\
SELECT host, gpu_index, datetime(start_ms / 1000 + utc_offset_seconds, 'unixepoch') AS local_start,
       duration_seconds / 60 AS minutes, reason
FROM v_gap JOIN v_host USING (host)
ORDER BY start_ms DESC
LIMIT 20""",
        """\
host      gpu_index  local_start          minutes  reason
lab-h100  NULL       2025-11-14 03:10:00     87.0  off""",
        "`gpu_index` NULL: the whole host. Reasons: off, crash, stall, suspend, clock, driver.",
    ),
    Worked(
        "throttled",
        "Which GPUs were slowed down by power or heat, and for how long?",
        f"""\
SELECT host, gpu_index, sum(throttled_seconds) / 3600 AS throttled_hours,
       100 * sum(throttled_seconds) / sum(observed_seconds) AS percent_of_observed, max(temperature_max_celsius) AS hottest_celsius
FROM v_gpu_hour
WHERE throttled_seconds IS NOT NULL AND {LAST_DAYS.format(7)}
GROUP BY host, gpu_uuid, gpu_index
ORDER BY throttled_hours DESC, gpu_index""",
        """\
host     gpu_index  throttled_hours  percent_of_observed  hottest_celsius
demo-01          7             19.8                 40.1               83
demo-01          0              0.0                  0.0               65
demo-01          1              0.0                  0.0               67""",
        "GPUs whose clock reasons are not known are not listed.",
    ),
    Worked(
        "p95-utilization",
        "What utilization does each GPU stay below for 95 % of the time?",
        f"""\
SELECT host, gpu_index, 100 * min(middle) AS p95_percent
FROM (SELECT host, gpu_uuid, gpu_index, middle, sum(weight) OVER (PARTITION BY gpu_uuid ORDER BY middle) AS upto,
             sum(weight) OVER (PARTITION BY gpu_uuid) AS total
      FROM (SELECT host, gpu_uuid, gpu_index, middle, sum(weight) AS weight
            FROM v_hist
            WHERE quantity = 'utilization_ratio' AND {LAST_DAYS.format(7)}
            GROUP BY host, gpu_uuid, gpu_index, middle) AS bins) AS running
WHERE upto >= 0.95 * total
GROUP BY host, gpu_uuid, gpu_index
ORDER BY host, gpu_index""",
        """\
host     gpu_index  p95_percent
demo-01          0         95.4
demo-01          1         95.4
demo-01          2         95.4""",
        "Bins are 4 % wide, so the answer is within 2 %. Add weights first, then take the percentile: means of percentiles mean nothing.",
    ),
    Worked(
        "who-used-which",
        "Who used which GPU yesterday?",
        """\
SELECT host, gpu_index, coalesce("user", '(nobody or not visible)') AS who, bucket, sum(ms) / 3600000.0 AS gpu_hours
FROM v_ledger_hour
WHERE bucket <> 'unobserved' AND t >= CAST(strftime('%s', 'now', 'localtime', 'start of day', '-1 day', 'utc') AS INTEGER)
  AND t < CAST(strftime('%s', 'now', 'localtime', 'start of day', 'utc') AS INTEGER)
GROUP BY host, gpu_index, "user", bucket
ORDER BY host, gpu_index, gpu_hours DESC""",
        """\
host     gpu_index  who                      bucket        gpu_hours
demo-01          0  alice                    busy_unknown       18.1
demo-01          0  (nobody or not visible)  unallocated         3.1
demo-01          0  alice                    wait                2.8
demo-01          1  alice                    busy_unknown       18.1""",
        "Yesterday is that of the machine on which the question is asked. The hour that is not over yet is in `v_ledger_minute`.",
    ),
    Worked(
        "busiest-hours",
        "Which hours of the week are busiest?",
        f"""\
SELECT host, ((t + utc_offset_seconds) / 86400 + 3) % 7 AS weekday, (t + utc_offset_seconds) / 3600 % 24 AS hour,
       100 * sum(utilization_ratio * observed_seconds) / sum(observed_seconds) AS utilization_percent
FROM v_gpu_hour JOIN v_host USING (host)
WHERE utilization_ratio IS NOT NULL AND {LAST_DAYS.format(28)}
GROUP BY host, weekday, hour
ORDER BY utilization_percent DESC, weekday, hour
LIMIT 10""",
        """\
host     weekday  hour  utilization_percent
demo-01        2    18                 75.9
demo-01        2    19                 75.9
demo-01        2    20                 75.9""",
        "Weekday 0 is Monday.",
    ),
    Worked(
        "where-it-went",
        "Where did the GPU time of the last 7 days go?",
        f"""\
SELECT bucket, sum(ms) / 3600000.0 AS gpu_hours, 100.0 * sum(ms) / sum(sum(ms)) OVER () AS percent
FROM v_ledger_hour
WHERE {LAST_DAYS.format(7)}
GROUP BY bucket
ORDER BY gpu_hours DESC""",
        """\
bucket        gpu_hours  percent
busy_unknown      246.6     61.6
wait               64.7     16.2
held_idle          50.9     12.7
unallocated        29.7      7.4
unobserved          4.3      1.1""",
        "The parts add up to every hour that has a row; hours in which nobody recorded have none.",
    ),
)

_DATE = re.compile(r"date(time)?\(((?:[^()]|\([^()]*\))*), 'unixepoch'\)")
_AGO = re.compile(r"CAST\(strftime\('%s', 'now', '-(\d+ days)'\) AS INTEGER\)")
_MIDNIGHT = re.compile(r"CAST\(strftime\('%s', 'now', 'localtime', 'start of day', ('-1 day', )?'utc'\) AS INTEGER\)")


def postgresql(sql: str) -> str:
    """A worked query as PostgreSQL writes it."""

    def stamp(found: re.Match[str]) -> str:
        form = "YYYY-MM-DD HH24:MI:SS" if found[1] else "YYYY-MM-DD"
        return f"to_char(to_timestamp({found[2]}) AT TIME ZONE 'UTC', '{form}')"

    def midnight(found: re.Match[str]) -> str:
        before = " - interval '1 day'" if found[1] else ""
        return f"extract(epoch FROM date_trunc('day', now(){before}))"

    return _MIDNIGHT.sub(midnight, _AGO.sub(r"extract(epoch FROM now() - interval '\1')", _DATE.sub(stamp, sql)))

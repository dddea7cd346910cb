"""What stands on the screen of a workload where values are estimated, late, old or not there."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.sample_servers import SERVERS, rich, sample_inference_detail, slow, with_servers, work_named
from support.server_sheets import changed, lines, panel, sheet
from support.tui import context_of

from gpuwatch.names import ServerState
from gpuwatch.tui.palette import Look
from gpuwatch.tui.panels.workload_question import request_for
from gpuwatch.tui.screens.workload import WorkloadScreen
from gpuwatch.tui.state import UiState
from gpuwatch.tui.workloads import key_of_work
from gpuwatch.view.types import WorkloadView


def test_an_estimate_has_its_sign_and_two_digits_and_says_what_is_counted_late() -> None:
    rows = lines("estimated")
    assert rows[4][2:8].strip() == "~130" and "~0.89" in rows[24] and "÷ ~130 tok/s" in rows[24]
    assert rows[13].startswith("╰─") and "~ estimated · prefill counted at the end of requests" in rows[13]
    assert rows[5][2:8].strip() == "411"
    exact = lines("rich")
    assert "~" not in "\n".join(exact)


def test_an_engine_without_a_gauge_has_no_row_and_a_value_that_is_late_a_dash() -> None:
    text = "\n".join(lines("estimated"))
    assert "KV cache" not in text and "prefix hits" not in text and "preemption" not in text and "queue time" in text
    late = changed(rich(kv_cache_ratio=None, kv_cache_fullest_ratio=None, prefix_hit_ratio=None))
    assert next(row for row in late if "KV cache  " in row)[101] == "–"
    assert "not on this server's page" in "\n".join(lines("estimated")[14:31])


def test_what_the_page_does_not_say_is_a_dash_never_a_zero() -> None:
    rows = lines("estimated")
    assert [rows[y][7] for y in (6, 8, 9, 10)] == ["–"] * 4
    assert [rows[y][110] for y in range(24, 29)] == ["–"] * 5
    assert all(rows[y][end] == "–" for y in range(16, 20) for end in (34, 44, 54, 64, 75, 86))
    assert rows[21][4:].startswith("goodput –")


def test_measured_nothing_is_zero() -> None:
    rows = lines("idle")
    assert [rows[y][7] for y in (4, 5, 6, 8)] == ["0"] * 4 and [rows[y][7] for y in (9, 10)] == ["–"] * 2
    assert "0%" in rows[7][97:102] and "no preemption" in rows[8]
    assert "431 W, no token" in rows[24] and rows[24][15] == "–"
    assert [rows[y][110] for y in range(24, 29)] == ["0"] * 5
    assert "few requests" in rows[16]


def test_a_percentile_above_the_last_bound_and_one_that_means_nothing() -> None:
    rows = changed(slow())
    assert rows[16][48:65].split() == [">", "10", "s", ">", "10", "s"] and "9.1 s" in rows[16] and "41 to 46%" in rows[16]
    assert rows[17][29:65].split() == ["4.2", "ms", "one", "bucket"] and rows[17][83:87] == "100%"
    assert "few requests" in rows[19] and "132 s" in rows[19]
    assert rows[18][34] == "–" and "no buckets" in rows[18]
    assert "goodput 0 to 0.12 of 0.27 requests/s" in rows[21]


def test_a_missed_limit_is_amber_and_nothing_is_red() -> None:
    look = Look()
    view = with_servers("slow", "rich")
    first, second = work_named(view), work_named(view, 1)

    def style_at(work: WorkloadView, y: int, x: int) -> object:
        return sheet(view, work, look=look).cells(y).styles[x]

    assert style_at(first, 16, 54) == look.amber and style_at(first, 16, 86) == look.amber
    assert style_at(second, 16, 54) == look.white and style_at(second, 16, 86) == look.white
    held = look.style("held", "bg", True)
    assert all(style_at(first, y, x) != held for y in range(15, 22) for x in range(30, 90))
    target = replace(view, workloads=(replace(second, inference=rich(slo_target_ratio=0.99)),))
    assert sheet(target, target.workloads[0], look=look).cells(16).styles[86] == look.amber


def test_a_shared_gpu_has_no_energy_a_token() -> None:
    rows = changed(slow())
    assert rows[23].startswith("╭─ Energy ─")
    assert rows[24][15:].startswith("– shared GPU") and "431 W with others" in rows[24]
    assert any("GPU 4 also has other work: energy is not told apart" in row for row in rows[25:30])
    assert "~31% of dense BF16 peak" in "\n".join(rows)


def test_the_fullest_engine_is_named_where_engines_differ() -> None:
    row = changed(slow())[7]
    assert "62% fullest 97%" in row


def test_an_old_reading_is_dim_and_says_its_age() -> None:
    rows = lines("stale")
    assert rows[2].startswith(" no answer: connection refused · stale 14 s · up 9d 11:02")
    view, look = with_servers("stale"), Look()
    cells = sheet(view, work_named(view), look=look).cells(4)
    assert cells.texts[7] == "k" and cells.styles[7] == look.dim


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "metrics_off",
            ["No numbers: metrics off", "It answers, but its page of metrics is off.", "start it with --enable-metrics"],
        ),
        ("auth", ["No numbers: key needed", "gpuwatch was given none", "token_env"]),
        ("namespace", ["another network namespace", "publish its port"]),
        ("starting", ["It is starting"]),
        ("new", ["has not told a number yet"]),
        ("no_metrics", ["This engine has no numbers of its own."]),
        ("large", ["larger than what gpuwatch reads", "more than 4 MiB"]),
    ],
)
@pytest.mark.parametrize("size", [(80, 24), (100, 30), (120, 40), (200, 60)])
def test_a_server_without_numbers_says_why_and_what_would_give_them(name: str, words: list[str], size: tuple[int, int]) -> None:
    text = "\n".join(lines(name, size))
    assert all(word in text for word in words), text
    assert "Where its GPU time went" in text and "vllm EngineCore" in text and "Tokens/s" not in text


def test_every_state_has_words() -> None:
    from gpuwatch.tui.panels.server_words import SENTENCES, STATES

    assert set(STATES) == set(SENTENCES) == set(ServerState)


def test_a_training_run_says_what_it_would_need() -> None:
    view = with_servers("rich")
    training = next(work for work in view.workloads if work.kind == "training")
    text = sheet(view, training).text()
    assert "step times need: gpuwatch run -- " in text and "Where its GPU time went" in text and "train_vit.py" in text


def test_until_its_past_is_read_nothing_is_claimed_and_another_ones_is_not_shown() -> None:
    text = "\n".join(lines("rich", answered=False))
    assert "reading …" in text and "█" not in text and "effective" not in text
    view = with_servers("rich", "estimated")
    work, other = work_named(view), work_named(view, 1)
    context = context_of(WorkloadScreen, view, (120, 40), None, UiState(workload=key_of_work(work)))
    wrong = sample_inference_detail(view, request_for(other))
    assert "reading …" in WorkloadScreen().draw(replace(context, detail=wrong)).text()


def test_markup_in_names_is_text() -> None:
    text = "\n".join(lines("hostile", (200, 60)))
    assert "a[/]b[red]" in text


def test_a_server_that_has_gone_keeps_its_hour_and_nothing_else() -> None:
    rows = lines("dropped")
    assert rows[2].startswith(" no answer: connection refused · stale 1 min · up 0:10:00")
    assert [rows[y][7] for y in (4, 5, 6, 8, 9, 10)] == ["–"] * 6 and rows[4][101] == rows[5][101] == "–"
    assert "13 541" in rows[24] and "decode, 0" in rows[8] and "not on this server's page" not in "\n".join(rows[:23])
    assert rows[23].startswith("╭─ Energy ─") and rows[24][15] == "–"
    silent = panel(with_servers("dropped"))
    assert silent[0].split() == ["qwen-72b", "vLLM", "no", "answer"] and silent[1].rstrip() == "connection refused"


def test_a_server_that_could_tell_more_says_how_and_one_that_tells_nothing_says_it_once() -> None:
    rows = changed(replace(SERVERS["estimated"], hint="start llama-server with --metrics"))
    assert rows[2].startswith(" start llama-server with --metrics · up 1:23:40")
    assert "\n".join(lines("metrics_off")).count("--enable-metrics") == 1

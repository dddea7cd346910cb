"""``[inference]`` and ``[price]``: what is taken over, and the one line that a mistake gets."""

from __future__ import annotations

from datetime import UTC, date, datetime, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from gpuwatch import settings
from gpuwatch.configured import GpuPriceList, PriceStep, Target, price_list
from gpuwatch.errors import UsageError
from gpuwatch.prices import HourlyCost, Prices, cost_per_million, hourly_cost

TARGET = "[[inference.target]]\n"


def load(tmp_path: Path, text: str, system: str = "") -> settings.Settings:
    user, machine = tmp_path / "gpuwatch" / "config.toml", tmp_path / "system.toml"
    user.parent.mkdir()
    user.write_text(text, encoding="utf-8")
    machine.write_text(system, encoding="utf-8")
    return settings.load(environ={"XDG_CONFIG_HOME": str(tmp_path)}, system_file=machine).settings


def test_nothing_is_configured_by_default(tmp_path: Path) -> None:
    loaded = load(tmp_path, "")
    assert loaded.inference == settings.InferenceSettings(True, 0.5, 0.05, 0.95)
    assert (loaded.targets, loaded.gpu_prices, loaded.price.kwh) == ((), (), None)
    assert not price_list("$", None, (), UTC).known


def test_limits_targets_and_prices_are_taken_over(tmp_path: Path) -> None:
    loaded = load(
        tmp_path,
        "[inference]\nttft_seconds = 1\n"
        f'{TARGET}url = "http://10.0.0.7:8000/"\nname = "chat"\nengine = "vllm"\ntoken_env = "CHAT_KEY"\n'
        '[price]\ncurrency = "EUR"\nkwh = 0.3\n"NVIDIA H100*" = 2.5\n'
        '"NVIDIA A100*" = [{from = 2026-01-01, price = 1.5}, {from = "2025-06-01", price = 1}]\n',
        f'{TARGET}url = "https://node-2"\n[price]\n"NVIDIA *" = 1\n',
    )
    assert loaded.inference.ttft_seconds == 1
    assert loaded.targets == (Target("https://node-2"), Target("http://10.0.0.7:8000", "chat", "vllm", "CHAT_KEY"))
    assert (loaded.price.currency, loaded.price.kwh) == ("EUR", 0.3)
    assert loaded.gpu_prices == (
        GpuPriceList("NVIDIA H100*", (PriceStep(None, 2.5),)),
        GpuPriceList("NVIDIA A100*", (PriceStep(date(2025, 6, 1), 1.0), PriceStep(date(2026, 1, 1), 1.5))),
        GpuPriceList("NVIDIA *", (PriceStep(None, 1.0),)),
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[inference]\nttft = 1\n", "did you mean 'inference.ttft_seconds'?"),
        ("[inference]\ntarget_ratio = 95\n", "inference.target_ratio = 95 is outside 0.01 to 1"),
        ("[inference]\ntarget = 'http://a'\n", "write [[inference.target]]"),
        (f"{TARGET}name = 'x'\n", "inference.target 1 has no url"),
        (f"{TARGET}url = 'http://a'\ntokenenv = 'X'\n", "did you mean 'token_env'?"),
        (f"{TARGET}url = 7\n", "inference.target 1: url is a text"),
        (f"{TARGET}url = 'localhost:8000'\n", "not one of http:// or https://"),
        (f"{TARGET}url = 'ftp://a'\n", "not one of http:// or https://"),
        (f"{TARGET}url = 'http://a:99999'\n", "host or port is not valid"),
        (f"{TARGET}url = 'http://[::1'\n", "host or port is not valid"),
        (f"{TARGET}url = 'http://a/metrics?key=1'\n", "a query or a fragment"),
        (f"{TARGET}url = 'http://a'\nengine = 'v LLM'\n", "engine is one word, as in vllm, llama.cpp or trt-llm"),
        (f"{TARGET}url = 'http://a'\nname = 'a\\u001b[31m'\n".replace("'", '"'), "name is up to 100 printable characters"),
        (f"{TARGET}url = 'http://a/?'\n", "a query or a fragment"),
        (f"{TARGET}url = 'http://hö:80'\n", "not one of http:// or https://"),
        (f"{TARGET}url = 'http://{'a' * 5000}'\n", "host or port is not valid"),
        ("[price]\ncurrency = ''\n", "price.currency is 1 to 8 printable characters"),
        ("[price]\ncurrency = '\\u001b[31m'\n".replace("'", '"'), "price.currency is 1 to 8 printable characters"),
        ("[price]\nkwh = nan\n", "price.kwh = nan is outside"),
        ("[price]\n'A100' = nan\n", "a number of 0 or more"),
        ("[price]\n'A100' = inf\n", "a number of 0 or more"),
        ("[price]\n'' = 2\n", "a GPU is named by its product"),
        ("[price]\ncurency = 'EUR'\n", "did you mean 'currency'?"),
        ("[price]\nkwh = 'much'\n", "price.kwh = 'much'"),
        ("[price]\n'NVIDIA H100*' = 'much'\n", "price of 'NVIDIA H100*' is not a price per GPU-hour"),
        ("[price]\n'NVIDIA H100*' = -1\n", "a number of 0 or more"),
        ("[price]\n'NVIDIA H100*' = true\n", "a number of 0 or more"),
        ("[price]\n'NVIDIA H100*' = []\n", "the list is empty"),
        ("[price]\n'A' = [{from = 'soon', price = 1}]\n", "from is a day"),
        ("[price]\n'A' = [{price = 1, until = 2026-01-01}]\n", "a dated price is"),
        ("[price]\n'A' = [{from = 2026-01-01, price = 1}, {from = 2026-01-01, price = 2}]\n", "on the same day"),
    ],
)
def test_a_mistake_is_one_clear_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError) as raised:
        load(tmp_path, text)
    assert said in str(raised.value)
    assert "config.toml" in str(raised.value) and "\n" not in raised.value.message


@pytest.mark.parametrize("line", ["url = 'http://bob:hunter2@a'", "url = 'http://a'\ntoken_env = 'sk-hunter2'"])
def test_a_secret_is_refused_and_not_repeated(tmp_path: Path, line: str) -> None:
    with pytest.raises(UsageError) as raised:
        load(tmp_path, TARGET + line)
    assert "hunter2" not in f"{raised.value} {raised.value.hint}"


def test_a_dated_price_holds_from_midnight_of_its_day() -> None:
    gpus = (GpuPriceList("nvidia h100*", (PriceStep(date(2026, 1, 1), 2.0), PriceStep(date(2026, 3, 1), 3.0))),)
    prices = price_list("$", None, gpus, ZoneInfo("Europe/Berlin"))
    midnight = round(datetime(2025, 12, 31, 23, tzinfo=UTC).timestamp() * 1000)
    name = "NVIDIA H100 80GB HBM3"
    assert [prices.gpu_hour(name, midnight + ms) for ms in (-1, 0, 90 * 86_400_000)] == [None, 2.0, 3.0]
    assert prices.gpu_hour("NVIDIA A100-SXM4-80GB", midnight) is None


def test_costs_name_their_prices_and_are_not_told_in_part() -> None:
    prices = price_list("€", 0.3, (GpuPriceList("NVIDIA H100*", (PriceStep(None, 2.5),)),), UTC)
    found = hourly_cost(prices, ["NVIDIA H100 PCIe"] * 2, 700.0, 0)
    assert found == HourlyCost(pytest.approx(5.21), "€2.50/GPU·h + €0.30/kWh")
    assert hourly_cost(prices, ["NVIDIA H100 PCIe"], None, 0) is None
    assert hourly_cost(prices, ["NVIDIA H100 PCIe", "NVIDIA L4"], 700.0, 0) is None
    assert hourly_cost(Prices(), ["NVIDIA H100 PCIe"], 700.0, 0) is None
    assert hourly_cost(Prices("€", 0.3), ["NVIDIA L4"], 1000.0, 0) == HourlyCost(pytest.approx(0.3), "€0.30/kWh")
    assert cost_per_million(HourlyCost(3.6, ""), 1000.0) == pytest.approx(1.0)
    assert cost_per_million(HourlyCost(3.6, ""), 0.0) is None
    assert Prices("EUR").money(2.5) == "2.50 EUR"


def test_doctor_lists_servers_and_prices_with_the_file_that_names_them(tmp_path: Path) -> None:
    from support.inprocess import run_program

    config = tmp_path / "config.toml"
    config.write_text(f'{TARGET}url = "http://a:1"\nname = "chat"\ntoken_env = "KEY"\n[price]\n"H100*" = 2.5\n', encoding="utf-8")
    done = run_program("--config", str(config), "--store", str(tmp_path / "no.db"), "--demo=train", "doctor", env={"PATH": "/bin"})
    assert f"http://a:1 (chat, key from $KEY)   from {config}" in done.stdout
    assert f"2.5   from {config}" in done.stdout


@pytest.mark.parametrize("engine", ["llama.cpp", "llamacpp", "trt-llm", "vLLM"])
def test_an_engine_is_named_as_the_collector_knows_it(tmp_path: Path, engine: str) -> None:
    assert load(tmp_path, f"{TARGET}url = 'http://a'\nengine = '{engine}'\n").targets[0].engine == engine


def test_one_address_is_one_target_however_it_is_written(tmp_path: Path) -> None:
    loaded = load(tmp_path, f"{TARGET}url = 'HTTP://Node-2:80/v1/'\n{TARGET}url = 'http://node-2:80/v1'\n")
    assert [target.url for target in loaded.targets] == ["http://node-2:80/v1"]


@pytest.mark.parametrize("day", ["0001-01-01", "1969-12-31", "9999-12-31"])
@pytest.mark.parametrize("zone", [None, UTC, ZoneInfo("Pacific/Kiritimati"), ZoneInfo("Pacific/Pago_Pago")])
def test_any_day_can_begin_a_price(day: str, zone: tzinfo | None) -> None:
    prices = price_list("$", None, (GpuPriceList("*", (PriceStep(date.fromisoformat(day), 1.0),)),), zone)
    assert prices.gpu_hour("NVIDIA L4", 86_400_000) == (None if day.startswith("9") else 1.0)


@pytest.mark.parametrize("name", ["TARGET", "TARGETS", "TARGET__URL"])
def test_targets_are_not_taken_from_variables(name: str) -> None:
    with pytest.raises(UsageError, match=r"under \[\[inference.target\]\]") as raised:
        settings.load(environ={f"GPUWATCH_INFERENCE__{name}": "http://u:hunter2@h"}, system_file=Path("/nowhere"))
    assert "hunter2" not in str(raised.value)


def test_doctor_says_of_a_target_that_no_engine_is_called_so(tmp_path: Path) -> None:
    from support.inprocess import run_program

    config = tmp_path / "c.toml"
    config.write_text(f'{TARGET}url = "http://10.0.0.7:8000"\nengine = "vlm"\n', encoding="utf-8")
    done = run_program("--config", str(config), "--store", str(tmp_path / "no.db"), "--demo=train", "doctor", env={"PATH": "/bin"})
    line = next(line for line in done.stdout.splitlines() if "10.0.0.7" in line)
    assert "not asked: unknown engine 'vlm': one of vllm, " in line

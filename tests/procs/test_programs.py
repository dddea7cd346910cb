"""What command lines are taken for: engines, launchers, scripts, shells, notebooks, and what only mentions them."""

from __future__ import annotations

import pytest

from gpuwatch.collectors.procs.engines import Serves
from gpuwatch.collectors.procs.programs import classify


def judge(line: str, comm: str = "x"):
    return classify(line.split(" "), comm)


@pytest.mark.parametrize(
    ("line", "engine", "model", "port"),
    [
        ("/v/bin/python /v/bin/vllm serve Qwen/Qwen3-8B --port 8001", "vllm", "Qwen/Qwen3-8B", 8001),
        ("python3 -m vllm.entrypoints.openai.api_server --model=m/x", "vllm", "m/x", 0),
        ("VLLM::EngineCore", "vllm", "", 0),
        ("python -u -m sglang.launch_server --model-path m --port=30001", "sglang", "m", 30001),
        ("sglang::scheduler_TP0", "sglang", "", 0),
        ("/usr/bin/llama-server -m /m/a.gguf --port 8080", "llama.cpp", "/m/a.gguf", 8080),
        ("ollama serve", "ollama", "", 0),
        ("text-generation-launcher --model-id b/c -p 3000", "tgi", "b/c", 3000),
        ("tritonserver --model-repository=/models", "triton", "/models", 0),
        ("/v/bin/python /v/bin/trtllm-serve m/y --port 8000", "trt-llm", "m/y", 8000),
        ("python /v/bin/lmdeploy serve api_server m/z --server-port 23334", "lmdeploy", "m/z", 23334),
        ("ray::ServeReplica:app:LLM", "ray-serve", "", 0),
        ("text-embeddings-router --model-id e --port 99999", "tei", "e", 0),
        ("python -m vllm.entrypoints.cli.main serve m --port 1", "vllm", "m", 1),
        ("vllm serve --port 8001 m", "vllm", "", 8001),
        ("llama-server -m --port 8001", "llama.cpp", "", 8001),
        ("llama-server -m m.gguf --port= --host", "llama.cpp", "m.gguf", 0),
        ("VLLM::APIServer_3", "vllm", "", 0),
        ("mine::EngineCore_DP0", "vllm", "", 0),
        ("sglang::tokenizer_worker:41", "sglang", "", 0),
        ("ollama runner --model /b/sha256-1 --port 41001", "ollama", "/b/sha256-1", 41001),
        ("trtllm-serve serve m/y", "trt-llm", "m/y", 0),
        ("tritonserver --model-repository=/models --http-port 9000 --metrics-port 9002", "triton", "/models", 9000),
        ("python -m dynamo.frontend --http-port 8100", "dynamo", "", 8100),
        ("text-generation-server serve b/c", "tgi", "b/c", 0),
        ("python -m huggingfaceserver --model_id b/c --http_port=9000", "kserve", "b/c", 9000),
    ],
)
def test_inference_servers(line, engine, model, port):
    program = judge(line)
    assert (program.engine, program.model, program.port, program.kind, program.ml) == (engine, model, port, "inference", True)


@pytest.mark.parametrize(
    "line",
    [
        "vllm bench throughput",
        "grep vllm",
        "python /v/bin/vllm-htop",
        "vim vllm serve",
        "ollama pull x",
        "watch llama-server",
        "transformers env",
        "python -m vllm.entrypoints.cli.main bench serve",
        "lmdeploy serve proxy",
        "python /v/bin/trtllm-serve disaggregated -c c.yaml",
        "lmdeploy chat m",
        "less VLLM::EngineCore",
        "/tmp/VLLM::EngineCore",
        "std::sort",
        "ray::IDLE",
        "python serve.py --vllm serve",
    ],
)
def test_what_only_mentions_a_server_is_none(line):
    assert judge(line).engine == "" and not judge(line).ml


@pytest.mark.parametrize(
    ("line", "worker", "apart"),
    [
        ("vllm serve m", False, False),
        ("vllm serve m --headless --data-parallel-size 4", True, False),
        ("VLLM::APIServer_0", False, False),
        ("VLLM::EngineCore_DP0", True, False),
        ("VLLM::Worker_TP0", True, False),
        ("VLLM::DPCoordinator", True, False),
        ("mine::APIServer_0", False, False),
        ("sglang::tokenizer_worker:41", False, False),
        ("sglang::scheduler_TP0", True, False),
        ("sglang::detokenizer", True, False),
        ("ray::RayWorkerWrapper.execute_model", True, True),
        ("ray::ServeReplica:app:LLM", False, False),
        ("ollama serve", False, False),
        ("ollama runner --model x --port 1", True, False),
        ("text-generation-router --port 80", False, False),
        ("text-generation-server serve m", True, False),
        ("/opt/triton_python_backend_stub /models/a/1/model.py", True, False),
        ("trtllm-serve disaggregated_mpi_worker -c c.yaml", True, False),
        ("trtllm-serve mm_embedding_serve m", False, False),
        ("python -m dynamo.vllm --model m", True, True),
        ("python -m dynamo.frontend", False, False),
    ],
)
def test_who_answers_and_who_only_works(line, worker, apart):
    program = judge(line)
    assert (program.worker, program.apart, program.server) == (worker, apart, not worker)


@pytest.mark.parametrize(
    ("line", "serves"),
    [
        ("vllm serve m --host 0.0.0.0 --port 1 --api-key hunter2", Serves()),
        ("vllm serve m --host ::1 --uds /run/x.sock", Serves(flags=frozenset(["--uds"]))),
        ("vllm serve m --ssl-keyfile /k --headless", Serves(tls=True, flags=frozenset(["--headless"]))),
        ("vllm serve m --config=c.yaml", Serves(flags=frozenset(["--config"]))),
        ("llama-server -m x --ssl-key-file k --host box.lan", Serves(tls=True)),
        ("text-embeddings-router --prometheus-port 9001 --hostname 0.0.0.0", Serves(9001)),
        ("tritonserver --metrics-port=8012 --http-address 127.0.0.1", Serves(8012)),
        ("vllm serve m --port 70000", Serves()),
        ("vllm serve m --host --uds", Serves(flags=frozenset(["--uds"]))),
    ],
)
def test_how_a_server_listens(line, serves):
    assert judge(line).serves == serves


def test_no_value_of_an_option_is_kept_but_model_and_ports():
    secret = "hunter2"
    line = f"vllm serve m --api-key {secret} --admin-api-key={secret} --uds {secret} --ssl-keyfile {secret} --config={secret}"
    assert secret not in repr(judge(line))


@pytest.mark.parametrize(
    ("line", "script", "kind"),
    [
        ("/v/bin/python /v/bin/torchrun --nproc-per-node 8 train.py --lr 1", "train.py", "training"),
        ("python -m torch.distributed.run --standalone -m my.module", "my.module", "training"),
        ("/v/bin/python /v/bin/accelerate launch --config_file c.yaml run/sft.py", "sft.py", "training"),
        ("python /v/bin/deepspeed --num_gpus 8 go.py", "go.py", "training"),
        ("torchrun generate.py", "generate.py", "other"),
        ("mpirun -np 8 python train_gpt.py", "train_gpt.py", "training"),
        ("mpirun -np 8 ./cfd", "mpirun", "other"),
        ("python -m torch.distributed.run -m accelerate.commands.launch x.py", "x.py", "training"),
    ],
)
def test_launchers(line, script, kind):
    program = judge(line)
    assert (program.script, program.kind, program.launcher) == (script, kind, True)


def test_short_launcher_names_need_python():
    assert not judge("composer install").launcher
    assert judge("python /v/bin/composer -n 8 x.py").launcher


@pytest.mark.parametrize(
    ("line", "script", "kind", "model"),
    [
        ("python3 -u -X dev src/train.py --model_name_or_path meta/x", "train.py", "training", "meta/x"),
        ("python3.11 finetune_lora.py", "finetune_lora.py", "training", ""),
        ("python pretrain_gpt.py", "pretrain_gpt.py", "training", ""),
        ("python constraint.py --model=a", "constraint.py", "other", "a"),
        ("python -m axolotl.cli.train x.yml", "axolotl.cli.train", "training", ""),
        ("python -c import_x", "python -c", "other", ""),
        ("python -W ignore -mfoo.bar", "foo.bar", "other", ""),
        ("python", "python", "other", ""),
        ("python -", "python", "other", ""),
    ],
)
def test_python_programs(line, script, kind, model):
    program = judge(line)
    assert (program.script, program.kind, program.model, program.python) == (script, kind, model, True)


def test_notebooks_servers_shells_and_ourselves():
    kernel = judge("python -m ipykernel_launcher -f /r/kernel-1a2b3c4d-0000.json")
    assert (kernel.kernel, kernel.script, kernel.joins) == ("1a2b3c4d", "notebook", True)
    assert judge("python -m ipykernel").kernel == "notebook"
    for line in (
        "python /v/bin/jupyter-lab",
        "python -m jupyterhub.singleuser",
        "python /v/bin/gpuwatch run -- x",
        "raylet --x",
        "python -m gpuwatch",
    ):
        assert judge(line).supervisor and not judge(line).joins, line
    assert judge("-bash").shell and judge("/bin/sh -c x").shell and not judge("/bin/sh -c x").joins
    assert not judge("python notebook.py").supervisor
    assert classify([], "bash").shell and classify([], "x").script == "x"
    assert judge("python /v/bin/poetry run vllm serve m").wrapper and not judge("python /v/bin/vllm serve m").wrapper
    assert judge("sudo python x.py").wrapper and judge("python train.py", "pt_main_thread").python


def test_a_title_set_by_the_program_is_split():
    assert classify(["python train.py --x 1"], "python").script == "train.py"

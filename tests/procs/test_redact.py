"""No secret leaves a command line, whatever surrounds it; what is none stays readable."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuwatch.collectors.procs.redact import MASK, is_secret_name, redact, redact_argv

SECRET = "Zq7_vR2"
NAMES = [
    "api-key",
    "api_key",
    "token",
    "hf-token",
    "password",
    "wandb.api_key",
    "client_secret",
    "AWS_SECRET_ACCESS_KEY",
    "dbPassword",
    "auth",
]


@pytest.mark.parametrize(
    "name", [*NAMES, "--api-key", "OPENAI_API_KEY", "HF_TOKEN", "apiKey", "x-api-key", "ssh-key", "PGPASSWORD"]
)
def test_names_of_secrets(name):
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "--max-tokens",
        "--tokenizer",
        "--max_new_tokens",
        "--pad-token-id",
        "--num-key-value-heads",
        "--monkey",
        "--lr",
        "--keyword",
        "--eos-token",
    ],
)
def test_names_that_only_sound_like_it(name):
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["vllm", "serve", "m", "--api-key", SECRET, "--port", "80"], f"vllm serve m --api-key {MASK} --port 80"),
        (["x", f"--password={SECRET} with spaces&more"], f"x --password={MASK}"),
        (["x", "--use-token", "--lr", "1e-3"], "x --use-token --lr 1e-3"),
        (["env", f"HF_TOKEN={SECRET}", "python"], f"env HF_TOKEN={MASK} python"),
        (["x", f"+trainer.wandb.api_key={SECRET}"], f"x +trainer.wandb.api_key={MASK}"),
        (["curl", "-H", f"Authorization: Bearer {SECRET}"], f"curl -H Authorization: {MASK}"),
        (["curl", "-u", f"me:{SECRET}", "host"], f"curl -u {MASK} host"),
        (["x", f"postgresql://me:{SECRET}@db:5432/runs"], f"x postgresql://{MASK}@db:5432/runs"),
        (["x", f"redis://me:a/{SECRET}@db"], f"x redis://{MASK}@db"),
        (["x", f"https://h/p?token={SECRET}&size=3"], f"x https://h/p?token={MASK}&size=3"),
        (
            ["bash", "-c", f"export TOKEN={SECRET}; run --api-key '{SECRET}' x"],
            f"bash -c export TOKEN={MASK}; run --api-key {MASK} x",
        ),
        ([f"python train.py --token {SECRET}"], f"python train.py --token {MASK}"),
        (["x", f'{{"api_key": "{SECRET}\\" {SECRET}", "lr": 1}}'], f'x {{"api_key": {MASK}, "lr": 1}}'),
        (["x", "hf_abcdefghijKLMN"], f"x {MASK}"),
        (["x", "sk-proj-abcdefgh12345"], f"x {MASK}"),
        (["x", "AKIAIOSFODNN7EXAMPLE"], f"x {MASK}"),
        (["x", "eyJhbGciOiJIUzI1.eyJzdWIiOiIx.abc"], f"x {MASK}"),
        (["x", "d41d8cd98f00b204e9800998ecf8427e"], f"x {MASK}"),
        (["x", "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY12=="], f"x {MASK}"),
        (["x", "aB3dE5gH7jK9mN1pQ3sT5v"], f"x {MASK}"),
        (["x", "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----"], f"x {MASK}"),
    ],
)
def test_secrets_are_masked(argv, line):
    assert redact_argv(argv) == line


@pytest.mark.parametrize(
    "line",
    [
        f"mysql -u root -p{SECRET} runs",
        f"sudo mysqldump -p{SECRET}",
        f"curl -u{'me'}:{SECRET} host",
        f"curl -su me:{SECRET} host",
        f"curl --user=me:{SECRET} host",
        f"curl --user me:{SECRET} host",
        f"wandb login {SECRET}",
        f"wandb login --relogin {SECRET}",
        f"/opt/bin/wandb login {SECRET} ; python train.py",
        f"sshpass -p {SECRET} ssh host",
        f"sshpass -p{SECRET} ssh host",
        f"redis-cli -a {SECRET} ping",
        f"redis-server --requirepass {SECRET}",
        f"docker login -u me -p {SECRET}",
        f"mongosh --username me -p {SECRET}",
        f"az login --service-principal -u me -p {SECRET}",
        f"smbclient //host/share -U me%{SECRET}",
        f"unzip -P {SECRET} data.zip",
        f"7z x -p{SECRET} data.7z",
        f"openssl enc -k {SECRET}",
        f"ssh-keygen -N {SECRET}",
        f"ldapsearch -w {SECRET}",
        f"vault login {SECRET}",
        f"ngrok config add-authtoken {SECRET}",
        f"http -a me:{SECRET} host",
        f"aws configure set aws_secret_access_key {SECRET}",
        f"rclone config create r s3 secret_access_key {SECRET}",
        f"kubectl create secret generic s --from-literal=name={SECRET}",
        f"curl https://hooks.slack.com/services/T0/B0/{SECRET}",
        f"curl https://discord.com/api/webhooks/123/{SECRET}",
        f"python -c os.environ['HF_TOKEN']='{SECRET}'",
        f'python -c openai.api_key="{SECRET}"',
    ],
)
def test_secrets_that_only_their_place_gives_away(line):
    assert SECRET not in redact_argv(line.split(" "))
    assert SECRET not in redact_argv([line])
    assert SECRET not in redact_argv(["bash", "-c", f"set -e; {line}"])


@pytest.mark.parametrize(
    "line",
    [
        "docker run -p 8080:80 -e MODE=fast image",
        "redis-cli -p 6379 ping",
        "ssh -p 2222 host",
        "wandb agent team/project/sweep",
        "mkdir -p runs",
        "python bench.py --backend mysql --user alice -p 8",
        "7z x data.7z",
        "vllm serve Qwen/Qwen2.5-Coder-32B-Instruct-GPTQ-Int4 --tensor-parallel-size 8 --max-num-batched-tokens 8192",
        "torchrun --nproc-per-node=8 --rdzv-endpoint=node1:29500 train.py --lr 3e-4 --pad-token-id 3",
        "ollama runner --model /home/ann/.ollama/models/blobs/sha256-" + "0a" * 32 + " --port 40123",
        "python -m axolotl.cli.train configs/llama-3-70b.yml --arch Wav2Vec2ForSequenceClassification",
        "/opt/conda/envs/py311/bin/python /home/alice/projects/run_2024-11-05T10:22:33/train.py",
    ],
)
def test_ordinary_lines_stay_as_they_are(line):
    assert redact_argv(line.split(" ")) == line


value = st.text(string.ascii_letters + string.digits + "._-+/!%^*", min_size=6, max_size=60).filter(
    lambda v: not v.startswith("--")
)


@given(st.sampled_from(NAMES), value, st.lists(st.text("abc-=:'\" /{}", max_size=12), max_size=4))
def test_the_value_of_a_named_secret_never_survives(name, secret, around):
    secret = f"{secret}Zq7"
    for given_as in (
        [f"--{name}", secret],
        [f"--{name}={secret}"],
        [f"{name}={secret}"],
        [f"{name}: {secret}"],
        [f"run --{name} {secret}"],
    ):
        assert secret not in redact_argv(["prog", *given_as, *around])


@given(st.text(string.ascii_lowercase + " /._", max_size=300).filter(lambda text: "bearer" not in text and "basic" not in text))
def test_plain_words_and_paths_are_left_alone(text):
    assert redact(text) == text


@given(st.lists(st.text(max_size=80), max_size=12))
def test_any_arguments_are_survived(argv):
    assert isinstance(redact_argv(argv), str)


@pytest.mark.parametrize("unit", ["a=", "://:", "-----BEGIN ", "- ", '"', "token", "--a ", "a.b-", "=:", "eyJ"])
def test_long_repetitions_do_not_recurse(unit):
    assert isinstance(redact_argv([unit * 2000, unit * 2000]), str)

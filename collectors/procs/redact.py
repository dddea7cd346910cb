"""Secrets out of command lines, before anything is kept: what is masked here never reaches the store.

Masked are values of options and assignments whose name speaks of a secret, credentials in URLs and headers, the known shapes of
tokens, and long random strings. It leans to masking too much: a masked model revision costs a look, a stored key costs a key.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from gpuwatch.collectors.procs.placed import placed
from gpuwatch.text import lazy

MASK = "••••••••"
LIMIT = 4096
"""Characters of a command line that are looked at; far more than are kept, so that no cut secret is ever shown."""

_WORDS = lazy(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ALWAYS = _words(
    "password passwd passphrase passcode pass pwd pw secret secrets apikey credential credentials cred creds authorization auth "
    "bearer privatekey accesskey secretkey authtoken accesstoken pat sig signature cookie cookies sas dsn netrc jwt otp webhook "
    "requirepass masterauth"
)
_STRONG = lazy(r"(?i)(api|access|secret|private|auth|hf|wandb)[_-]?(key|token)|passw|secret|credential|from-literal")
_HARMLESS = _words(
    "max min num number n id ids pad eos bos unk mask cls sep special type per count limit length len budget batch image text "
    "audio video prompt value values heads head frame frames dim size sort group column label feature embedding classifier draft "
    "speculative tokenizer vocab added stop start end dropout merging prune chunk target ratio"
)
_ASSIGNED = lazy(r"(?<![\w.\-+])(?P<name>[\w.\-+]++)[\"']?\]?\s{0,3}[=:]\s{0,3}")
_FLAGGED = lazy(r"(?<![\w.\-])(?P<name>--?[\w.\-]++)\s++(?!--)")
_VALUE = lazy(r"(?:(?:Bearer|Basic|Token)\s+)?(?:\\?\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|[^\s\"'&;,|}]+|\S+)", re.IGNORECASE)
_BEARER = lazy(r"(?i)\b(bearer|basic)\s+[^\s\"']+")
_URL_USER = lazy(r"(://)(?:[^\s/?#\"']*|[^\s/?#@:\"']*:[^\s@\"']{0,256})@")
_KNOWN = lazy(
    r"(?<![A-Za-z0-9])(?:hf_[A-Za-z0-9]{8,}|sk-[A-Za-z0-9_\-]{8,}|(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{12,}|gh[pousr]_[A-Za-z0-9]{16,}"
    r"|github_pat_\w{16,}|glpat-[\w\-]{12,}|xox[abeprs]-[\w\-]{10,}|nvapi-[\w\-]{12,}|AIza[\w\-]{20,}|ya29\.[\w\-.]{12,}"
    r"|eyJ[\w\-]{8,}\.[\w\-.]+|npm_[A-Za-z0-9]{16,}|pypi-[\w\-]{16,}|r8_[A-Za-z0-9]{16,}|dckr_pat_[\w\-]{12,}|SG\.[\w\-.]{16,}"
    r"|gsk_[A-Za-z0-9]{16,}|pk-lf-[\w\-]{8,}|wandb_v\d_\w{12,}|lsv2_\w{12,}|tgp_v\d_[\w\-]{12,})"
)
_PEM = lazy(r"-----BEGIN [A-Z ]*(?:PRIVATE|ENCRYPTED)[\s\S]*?(?:-----END[^-]*-----|$)")
_HEX = lazy(r"(?<![A-Za-z0-9])(?<!sha256-)(?<!sha256:)[0-9a-fA-F]{32,}(?![A-Za-z0-9])")
_PADDED = lazy(r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{22,}={1,2}(?![A-Za-z0-9=])")
_AWS = lazy(r"(?<![A-Za-z0-9/+=_.\-])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=_.\-])")
_HOOK = lazy(r"(hooks\.slack\.com/\w+/|discord(?:app)?\.com/api/webhooks/|api\.telegram\.org/bot)[^\s\"']+")
_TEXT_WORD = lazy(r"(?:\"[^\"]*\"|'[^']*'|[^\s\"']|[\"'])+")
_RUN = lazy(r"[A-Za-z0-9]{20,}")


def redact_argv(argv: Sequence[str]) -> str:
    """One line made of ``argv`` with every secret value replaced by :data:`MASK`. Not yet cleaned."""
    out: list[str] = []
    length, masked_next = 0, False
    by_place = dict(placed(argv))
    for index, arg in enumerate(argv):
        length += len(arg) + 1
        if length > LIMIT and index:
            break
        if index in by_place or (masked_next and not arg.startswith("--")):
            out.append(arg[: by_place.get(index, 0)] + MASK)
            masked_next = False
            continue
        masked_next = arg.startswith("-") and "=" not in arg and " " not in arg and is_secret_name(arg)
        out.append(arg if masked_next else _redact_argument(arg[:LIMIT]))
    return " ".join(out)


def _redact_argument(arg: str) -> str:
    """An argument that is one assignment or header (``TOKEN=a b&c``) is masked to its end, anything else where needed."""
    whole = _ASSIGNED.match(arg)
    if whole and is_secret_name(whole["name"]) and len(arg) > whole.end():
        return arg[: whole.end()] + MASK
    return redact(arg)


def redact(text: str) -> str:
    """``text`` with secrets masked, wherever they stand in it: assignments, options, headers, URLs, JSON, known token shapes."""
    if "://" in text:
        text = _URL_USER.sub(rf"\1{MASK}@", text)
    if "-----BEGIN" in text:
        text = _PEM.sub(MASK, text)
    if "=" in text or ":" in text:
        text = _mask_values(text, _ASSIGNED)
    if " " in text:
        text = _mask_places(text)
        text = _mask_values(text, _FLAGGED)
        text = _BEARER.sub(rf"\1 {MASK}", text)
    if len(text) < 11:  # shorter than any token that is known by its shape
        return text
    text = _KNOWN.sub(MASK, text)
    if len(text) < 20:
        return text
    text = _PADDED.sub(MASK, _HEX.sub(MASK, _HOOK.sub(rf"\1{MASK}", text)))
    text = _AWS.sub(lambda m: MASK if _looks_random(m[0]) else m[0], text)
    return _RUN.sub(lambda m: MASK if _looks_random(m[0]) else m[0], text)


def is_secret_name(name: str) -> bool:
    """Whether an option, variable or header of this name holds a secret (``--api-key``, ``HF_TOKEN``; not ``--max-tokens``)."""
    words = [word.lower() for word in _WORDS.findall(name)]
    if any(word in _ALWAYS for word in words):
        return True
    if _STRONG.search(name):
        return True
    return not any(word in _HARMLESS for word in words) and any(word in ("key", "keys", "token") for word in words)


def _mask_values(text: str, names: re.Pattern[str]) -> str:
    out, kept, at = "", 0, 0
    while found := names.search(text, at):
        at = found.end()
        value = _VALUE.match(text, at) if is_secret_name(found["name"]) else None
        if value:
            out += text[kept:at] + MASK
            kept = at = value.end()
    return out + text[kept:]


def _mask_places(text: str) -> str:
    words = list(_TEXT_WORD.finditer(text))
    for index, offset in reversed(list(placed([word[0] for word in words]))):
        text = text[: words[index].start() + offset] + MASK + text[words[index].end() :]
    return text


def _looks_random(run: str) -> bool:
    """Letters of both cases and digits that change class at 4 of 10 steps: camel-case names stay below, base62 is at 6 of 10."""
    kinds = ["d" if c.isdigit() else "u" if c.isupper() else "l" for c in run]
    if len(set(kinds)) < 3:
        return False
    return sum(a != b for a, b in itertools.pairwise(kinds)) >= 0.4 * (len(run) - 1)

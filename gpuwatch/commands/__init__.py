"""One file a command: ``add_parser(subparsers)`` declares it, ``run(args, runtime) -> int`` does it.

The names stand here with their one line of help, so that a command line loads only the command that it names.
"""

from __future__ import annotations

COMMANDS = {
    "status": "print what is so now, once",
    "waste": "what is wasted, and what to change",
    "check": "judge waste and say so by the exit code",
    "explain": "what a rule means, when it fires, what to do",
    "mute": "do not be told of a finding, for a time or for ever",
    "record": "record without a screen",
    "run": "run a training with the agent attached",
    "report": "where the GPU time of a span went, and who had it",
    "replay": "the live screen at a moment of the past",
    "query": "run SQL on the public views",
    "import": "read past logs into the store",
    "export": "write rows as CSV or Parquet",
    "doctor": "what can be measured here, what not, and why",
    "db": "where the store is; upgrade, check, back up, prune, forget",
}

MODULES = {"import": "import_"}
"""The module of a command whose name is a word of Python's own."""

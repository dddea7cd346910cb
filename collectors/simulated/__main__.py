"""``python -m gpuwatch.collectors.simulated NAME|FILE.toml [--seed N]`` prints the flat table: for authors of scenarios and of tests."""

from __future__ import annotations

import argparse
import sys

from gpuwatch.collectors.simulated.compile import compile_plan
from gpuwatch.collectors.simulated.scenario import load, names
from gpuwatch.collectors.simulated.text import lines
from gpuwatch.errors import GpuwatchError


def main() -> int:
    """Print one compiled scenario; a wrong one is one line on stderr and exit code 2."""
    parser = argparse.ArgumentParser(
        prog="python -m gpuwatch.collectors.simulated", description="Print a scenario as its flat table."
    )
    parser.add_argument("scenario", help=f"one of {', '.join(names())}, or a .toml file")
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    try:
        table = compile_plan(load(args.scenario), args.seed).table
    except GpuwatchError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    sys.stdout.writelines(line + "\n" for line in lines(table))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

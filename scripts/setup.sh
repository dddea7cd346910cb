# Sourced by the other scripts: makes .venv in the checkout with the groups named in $groups, once, then never asks the network again.
# shellcheck shell=bash
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv="$here/.venv"

find_python() {
  local candidate
  for candidate in "${PYTHON:-}" python3 python3.14 python3.13 python3.12 python3.11; do
    [ -n "$candidate" ] && command -v "$candidate" >/dev/null 2>&1 || continue
    "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { command -v "$candidate"; return; }
  done
  echo "gpuwatch needs Python 3.11 or newer with the venv module (Debian, Ubuntu: apt install python3-venv)" >&2
  exit 2
}

# ensure_venv DIR STAMP-WORDS... -- PIP-ARGS...: create DIR and install, unless the same was installed before.
ensure_venv() {
  local dir=$1 words="" stamp
  shift
  while [ "$1" != "--" ]; do words="$words $1"; shift; done
  shift
  stamp=$(printf '%s\n' "$words" "$here" "$@" | cat - "$here/pyproject.toml" "$here/scripts/constraints.txt" | cksum)
  [ "$(cat "$dir/.gpuwatch-setup" 2>/dev/null)" = "$stamp" ] && return
  [ -x "$dir/bin/python" ] || "$(find_python)" -m venv "$dir"
  echo "setting up $(basename "$dir") (once) ..." >&2
  "$dir/bin/python" -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1' >&2
  (cd "$here" && "$dir/bin/python" -m pip install --quiet --disable-pip-version-check -c scripts/constraints.txt "$@" >&2)
  printf '%s\n' "$stamp" >"$dir/.gpuwatch-setup"
}

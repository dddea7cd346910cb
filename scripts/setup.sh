# Sourced by the other scripts: makes .venv in the checkout once; after that nothing asks the network again.
# shellcheck shell=bash
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv="$here/.venv"
peers="$here/.venv-peers"

find_python() {
  local candidate
  for candidate in "${PYTHON:-}" python3 python3.14 python3.13 python3.12 python3.11; do
    [ -n "$candidate" ] && command -v "$candidate" >/dev/null 2>&1 || continue
    "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { command -v "$candidate"; return; }
  done
  echo "gpuwatch needs Python 3.11 or newer with the venv module (Debian, Ubuntu: apt install python3-venv)" >&2
  exit 2
}

# ensure DIR LEVEL: DIR holds what LEVEL needs (1 run, 2 test, 3 all; 9 peers). A level once reached is kept.
ensure() {
  local dir=$1 level=$2 have=0 seen="" now
  now=$(cat "$here/pyproject.toml" "$here/scripts/constraints.txt" | cksum)
  [ -r "$dir/.gpuwatch-setup" ] && read -r have seen <"$dir/.gpuwatch-setup"
  [ "$seen" = "$now" ] && [ "$have" -ge "$level" ] && return
  [ "$have" -gt "$level" ] && level=$have
  local what=()
  case $level in
    1) what=(-e .) ;;
    2) what=(-e . --group test) ;;
    3) what=(--no-compile -e '.[postgres,parquet]' --group test --group check --group docs --group torch --group servers) ;;
    9) what=(--group peers) ;;
  esac
  [ -n "${GPUWATCH_CONSTRAINTS:-}" ] && what+=(-c "$GPUWATCH_CONSTRAINTS")
  [ -x "$dir/bin/python" ] || "$(find_python)" -m venv "$dir"
  echo "setting up $(basename "$dir"), once ..." >&2
  local said # what build tools warn of is told only if it fails
  said=$(
    exec 2>&1
    cd "$here" &&
      "$dir/bin/python" -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1' &&
      "$dir/bin/python" -m pip install --quiet --disable-pip-version-check -c scripts/constraints.txt "${what[@]}"
  ) || { printf '%s\n' "$said" >&2 && exit 1; }
  if [ "$level" = 3 ]; then # PyTorch is large: pip would compile it on one core
    "$dir/bin/python" -m compileall -q -j 0 "$dir/lib" >/dev/null 2>&1 || true # what is made for another Python does not compile
  fi
  echo "$level $now" >"$dir/.gpuwatch-setup"
}

#!/usr/bin/env bash
# Everything that must hold for android_demo, from nothing: system packages, pinned downloads, then
# all rungs of tests/mobile/android (JUnit, APKs, preflight, screens, the AAR's own library, ktlint).
#
#   .ci/android.sh setup   install what the tests need
#   .ci/android.sh         the same, then the tests; a skipped rung fails
#
# Run inside an environment with this project's `test` extra.
set -euo pipefail
cd "$(dirname "$0")/.."
export RUNTIME_CHECK_CACHE="${RUNTIME_CHECK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/torch-mobile-export}"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"

declare -A packages=(
  [javac]=default-jdk-headless [mvn]=maven [gcc]=gcc [npm]=npm
  [apksigner]=apksigner [zipalign]=zipalign [dexdump]=dexdump
)
missing=()
for program in "${!packages[@]}"; do
  command -v "$program" >/dev/null || missing+=("${packages[$program]}")
done
if ((${#missing[@]})); then
  echo "installing: ${missing[*]}"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}" >/dev/null
fi

python android_demo/tools/prepare.py
# Gradle downloads Kotlin's plugin by itself, each file checked by its SHA-256.
python tests/mobile/android/tools/run_gradle.py --prepare
if [[ "${1:-}" == setup ]]; then
  exit
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
pytest -q -rs --durations=8 tests/mobile/android 2>&1 | tee "$log"
if grep -q '^SKIPPED' "$log"; then
  echo "A rung of the Android app was skipped; the reasons are above."
  exit 1
fi

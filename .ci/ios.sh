#!/usr/bin/env bash
# The iOS step of CI: everything of ios_demo/ that can be built and tested without a Mac.
#
#   .ci/ios.sh setup   install what the tests need: packages, the Swift folder, zig, the macOS wheel
#   .ci/ios.sh         the same, then swift-format and tests/mobile/ios; a skipped rung fails
#
# Runs as root on Debian, in a Python environment that has this project with its test extra. What it
# downloads stays in the cache folder; a second run finds it there and takes seconds.
set -euo pipefail
cd "$(dirname "$0")/.."
export RUNTIME_CHECK_CACHE="${RUNTIME_CHECK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/torch-mobile-export}"
export OMP_NUM_THREADS=1
log() { printf '\n--- ios: %s (%s s)\n' "$*" "$SECONDS"; }

log "system packages"
packages=(g++ g++-aarch64-linux-gnu qemu-user mmdebstrap util-linux ruby)
missing=()
for package in "${packages[@]}"; do
  dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package")
done
if ((${#missing[@]})); then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" \
    >/dev/null
fi

# Debian 12 has no Swift; Debian 13 has 6.0. Its files live in a folder of their own (2.5 GB), which
# the tests enter with chroot.
swift="$RUNTIME_CHECK_CACHE/swift-trixie"
if [[ ! -x "$swift/usr/bin/swiftc" ]]; then
  log "Swift"
  mkdir -p "$RUNTIME_CHECK_CACHE"
  # The mirror that this machine's apt uses, whichever that is.
  mirror=$(apt-get indextargets --format '$(LABEL) $(SITE)' 'Created-By: Packages' |
    awk '$1 == "Debian" && !site { site = $2 } END { print site }')
  scratch=$(mktemp -d "$RUNTIME_CHECK_CACHE/.swift-XXXXXX")
  trap 'rm -rf "$scratch"' EXIT
  # Clang needs the C and C++ headers, which swiftlang only recommends.
  mmdebstrap --quiet --mode=root --variant=apt \
    --include=swiftlang,libc6-dev,libstdc++-14-dev,libssl-dev,git,ca-certificates \
    --aptopt='APT::Install-Recommends "false"' --dpkgopt=force-unsafe-io \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    trixie "$scratch/root" "$mirror"
  chmod 755 "$scratch/root"
  mv "$scratch/root" "$swift"
fi

log "zig, and readers of Xcode's project format"
python -m pip install -q ziglang==0.17.1 pbxproj==4.3.3

log "torch 2.1.0 for ARM64, and it and ExecuTorch for Apple's arm64"
python -m runtime_check device install arm64-2.1.0
python - <<'PY'
import importlib.util, sys
spec = importlib.util.spec_from_file_location("tools", "tests/mobile/ios/tools.py")
tools = importlib.util.module_from_spec(spec)
sys.modules["tools"] = tools
spec.loader.exec_module(tools)
swift = tools.find_swift()
# Signatures are tested on OpenSSL; a folder that an older run made does not have it.
if swift.root is not None and not (swift.root / "usr/include/openssl/evp.h").exists():
    apt = "apt-get update -qq && apt-get install -y -qq --no-install-recommends libssl-dev"
    done = swift.run(["sh", "-c", apt], env={"DEBIAN_FRONTEND": "noninteractive"})
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
print(tools.ensure_macos(tools.MACOS_WHEEL))
print(tools.ensure_macos(tools.MACOS_EXECUTORCH))
print(swift.run(["swift", "--version"]).stdout.strip())
PY
if [[ "${1:-}" == setup ]]; then
  log "set up"
  exit
fi

log "tests, swift-format among them"
report=$(mktemp)
python -m pytest -q tests/mobile/ios tests/mobile/test_golden_files.py --durations=8 2>&1 | tee "$report"
if grep -q '^SKIPPED' "$report"; then
  echo "A rung that should run here was skipped."
  exit 1
fi
rm -f "$report"
log "done"

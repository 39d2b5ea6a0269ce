#!/usr/bin/env bash
# Golden vectors on the phone or emulator that adb sees: install the debug app and its
# instrumentation, as `gradle :app:assembleDebug :app:assembleDebugAndroidTest` left them, and
# replay every model of the assets. Exit 1 unless all of them match Python.
set -euo pipefail
cd "$(dirname "$0")/../android_demo/app/build/outputs/apk"

adb install -r debug/app-debug.apk
adb install -r androidTest/debug/app-debug-androidTest.apk
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# `am instrument` exits 0 whatever happened; its last line has the code: -1 is good.
adb shell am instrument -w -r \
  dev.torchmobile.demo.test/dev.torchmobile.demo.GoldenInstrumentation | tee "$log"
if ! grep -q '^INSTRUMENTATION_CODE: -1' "$log"; then
  echo "The golden vectors did not pass on this device." >&2
  exit 1
fi

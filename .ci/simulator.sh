#!/usr/bin/env bash
# The iOS step that needs a Mac with Xcode 16 and CocoaPods: the package's tests on macOS and on a
# simulator, then the app, built for a simulator with the pod that has simulator slices.
set -euo pipefail
cd "$(dirname "$0")/../ios_demo"

# The newest iPhone of this Xcode, whatever it is called.
phone=$(xcrun simctl list devices available --json | python3 -c '
import json, sys
devices = json.load(sys.stdin)["devices"]
runtimes = [name for name in devices if ".iOS-" in name]
runtimes.sort(key=lambda name: [int(part) for part in name.split(".iOS-")[1].split("-")])
phones = [d["udid"] for name in runtimes for d in devices[name] if d["name"].startswith("iPhone")]
print(phones[-1])')

swift test --package-path LiteClassifier
# Xcode makes the scheme of a package: one per product, and with several one for all of them.
scheme=$(cd LiteClassifier && xcodebuild -list -json 2>/dev/null | python3 -c '
import json, sys
schemes = json.load(sys.stdin)["workspace"]["schemes"]
print(next((s for s in schemes if s.endswith("-Package")), schemes[0]))')
(cd LiteClassifier && xcodebuild test -scheme "$scheme" -destination "id=$phone")

# LibTorch-Lite has slices for phones only; the README tells of the community's build.
python3 - <<'PY'
import pathlib, re
podfile = pathlib.Path("Podfile")
text = podfile.read_text()
swapped, count = re.subn(r"(?m)^(\s*pod ')LibTorch-Lite(', '2\.1\.0')", r"\1VoizeLibTorch-Lite\2", text)
if count > 1 or "VoizeLibTorch-Lite" not in swapped:
    raise SystemExit("Podfile: the line of LibTorch-Lite is not where it was.")
podfile.write_text(swapped)
PY
pod install
xcodebuild build -workspace LiteDemo.xcworkspace -scheme LiteDemo -configuration Debug \
  -destination "id=$phone" CODE_SIGNING_ALLOWED=NO

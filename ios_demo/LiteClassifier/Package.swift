// swift-tools-version: 6.0
import Foundation
import PackageDescription

// Here every data race the compiler can see is an error. With Apple's headers, which no one could
// compile this against yet, the same findings must not stop a build: Swift 5 makes them warnings.
#if os(Linux)
  let settings: [SwiftSetting] = [.swiftLanguageMode(.v6)]
#else
  let settings: [SwiftSetting] = [.swiftLanguageMode(.v5)]
#endif

// Pure Swift: everything of the app that needs no Apple framework and no runtime.
var products: [Product] = [.library(name: "LiteClassifier", targets: ["LiteClassifier"])]
var targets: [Target] = [
  .target(name: "LiteClassifier", swiftSettings: settings)
]
// Signatures and hashes are CryptoKit's; on Linux the tests have OpenSSL in its place.
var cryptography: [Target.Dependency] = ["LiteClassifier"]
#if os(Linux)
  targets.append(
    .systemLibrary(name: "CCrypto", path: "Tests/CCrypto", providers: [.apt(["libssl-dev"])]))
  cryptography.append("CCrypto")
#endif
targets += [
  .target(name: "TestCryptography", dependencies: cryptography, path: "Tests/TestCryptography"),
  .testTarget(
    name: "LiteClassifierTests", dependencies: ["LiteClassifier", "TestCryptography"]),
]

/// What builds the C++ core at `path` against a wheel's folder, and runs files on it.
func runtime(
  path: String, root: String, headers: [String], defines: [CXXSetting], libraries: [String],
  settings: [SwiftSetting]
) -> [Target] {
  let folder = root + "/lib"
  let includes: [String] = headers.map { "-I" + root + "/" + $0 }
  let linked: [String] = libraries.map { "-l" + $0 }
  let linking: [String] =
    ["-L" + folder, "-Xlinker", "-rpath", "-Xlinker", folder, "-Xlinker", "--no-as-needed"]
    + linked + ["-Xlinker", "--allow-shlib-undefined"]
  let core: Target = .target(
    name: "LiteCore", path: path, cxxSettings: defines + [.unsafeFlags(includes + ["-w"])],
    linkerSettings: [.unsafeFlags(linking)])
  let runtime: Target = .target(
    name: "LiteRuntime", dependencies: ["LiteClassifier", "LiteCore"], swiftSettings: settings)
  let tests: Target = .testTarget(
    name: "LiteRuntimeTests", dependencies: ["LiteRuntime", "TestCryptography"])
  return [core, runtime, tests]
}

// With TORCH_ROOT or EXECUTORCH_ROOT (a wheel's folder, the one with lib/ and include/ in it) the C++
// core is built too and real files run: `.ptl` on torch, `.pte` on ExecuTorch. One of the two, as in
// an app: each brings an XNNPACK of its own, under the same names. Xcode sets neither: there the app
// target compiles the same sources against the pod, or against ExecuTorch's package.
let environment = ProcessInfo.processInfo.environment
switch (environment["TORCH_ROOT"], environment["EXECUTORCH_ROOT"]) {
case (nil, nil):
  break
case (.some, .some):
  fatalError("set TORCH_ROOT or EXECUTORCH_ROOT, not both: only one runtime can be linked")
case (let torch?, nil):
  // Wheels before 2.6 have libstdc++'s old string; a library that disagrees does not link.
  let core = (try? Data(contentsOf: URL(fileURLWithPath: torch + "/lib/libc10.so"))) ?? Data()
  // The mangled name of c10::detail::torchCheckFail tells which of the two c10 was built with.
  let failure = "_ZN3c106detail14torchCheckFailEPKcS2_jRKNSt7__cxx1112basic_string"
  let newStrings = core.range(of: Data(failure.utf8)) != nil
  targets += runtime(
    path: "Sources/LiteCore", root: torch,
    headers: ["include", "include/torch/csrc/api/include"],
    defines: [.define("_GLIBCXX_USE_CXX11_ABI", to: newStrings ? "1" : "0")],
    libraries: ["torch_cpu", "c10"], settings: settings)
case (nil, let executorch?):
  let version = environment["EXECUTORCH_VERSION"] ?? "unknown"
  targets += runtime(
    path: "Sources/ExecuTorchCore", root: executorch,
    headers: ["include", "include/executorch/runtime/core/portable_type/c10"],
    defines: [
      .define("C10_USING_CUSTOM_GENERATED_MACROS"),
      .define("EXECUTORCH_VERSION", to: "\"\(version)\""),
    ],
    libraries: [
      "executorch", "executorch_kernels_optimized", "executorch_kernels_quantized",
      "executorch_backend_xnnpack", "executorch_threadpool",
    ], settings: settings)
}
if targets.contains(where: { $0.name == "LiteRuntime" }) {
  products.append(.library(name: "LiteRuntime", targets: ["LiteRuntime"]))
}

let package = Package(
  name: "LiteClassifier",
  platforms: [.iOS(.v17), .macOS(.v14)],
  products: products,
  targets: targets,
  cxxLanguageStandard: .cxx17
)

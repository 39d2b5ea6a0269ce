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

// Pure Swift: everything of the app that needs no Apple framework and no torch.
var products: [Product] = [.library(name: "LiteClassifier", targets: ["LiteClassifier"])]
var targets: [Target] = [
  .target(name: "LiteClassifier", swiftSettings: settings)
]
#if os(Linux)
  // Signatures are verified by CryptoKit; on Linux the tests have OpenSSL in its place.
  targets += [
    .systemLibrary(name: "CCrypto", path: "Tests/CCrypto", providers: [.apt(["libssl-dev"])]),
    .testTarget(name: "LiteClassifierTests", dependencies: ["LiteClassifier", "CCrypto"]),
  ]
#else
  targets.append(.testTarget(name: "LiteClassifierTests", dependencies: ["LiteClassifier"]))
#endif

// With TORCH_ROOT (a torch wheel's folder, the one with lib/ and include/ in it) the C++ core is
// built too and real files run. Xcode does not set it: there the app target compiles the same
// sources against the pod.
if let root = ProcessInfo.processInfo.environment["TORCH_ROOT"] {
  let libraries = root + "/lib"
  // Wheels before 2.6 have libstdc++'s old string; a library that disagrees does not link.
  let core = (try? Data(contentsOf: URL(fileURLWithPath: libraries + "/libc10.so"))) ?? Data()
  // The mangled name of c10::detail::torchCheckFail tells which of the two c10 was built with.
  let failure = "_ZN3c106detail14torchCheckFailEPKcS2_jRKNSt7__cxx1112basic_string"
  let newStrings = core.range(of: Data(failure.utf8)) != nil
  targets += [
    .target(
      name: "LiteCore",
      cxxSettings: [
        .define("_GLIBCXX_USE_CXX11_ABI", to: newStrings ? "1" : "0"),
        .unsafeFlags([
          "-I\(root)/include", "-I\(root)/include/torch/csrc/api/include", "-w",
        ]),
      ],
      linkerSettings: [
        .unsafeFlags([
          "-L\(libraries)", "-Xlinker", "-rpath", "-Xlinker", libraries, "-Xlinker",
          "--no-as-needed", "-ltorch_cpu", "-lc10", "-Xlinker", "--allow-shlib-undefined",
        ])
      ]),
    .target(
      name: "LiteRuntime", dependencies: ["LiteClassifier", "LiteCore"], swiftSettings: settings),
    .testTarget(name: "LiteRuntimeTests", dependencies: ["LiteRuntime"]),
  ]
  products.append(.library(name: "LiteRuntime", targets: ["LiteRuntime"]))
}

let package = Package(
  name: "LiteClassifier",
  platforms: [.iOS(.v17), .macOS(.v14)],
  products: products,
  targets: targets,
  cxxLanguageStandard: .cxx17
)

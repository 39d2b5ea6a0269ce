// swift-tools-version: 6.0
import Foundation
import PackageDescription

// Pure Swift: everything of the app that needs no Apple framework and no runtime.
var targets: [Target] = [.target(name: "LiteClassifier")]
var dependencies: [Package.Dependency] = []
// Signatures and hashes are CryptoKit's; on Linux the tests have OpenSSL in its place.
var cryptography: [Target.Dependency] = ["LiteClassifier"]
var tested: [Target.Dependency] = ["LiteClassifier", "TestCryptography"]
#if os(Linux)
  targets.append(
    .systemLibrary(name: "CCrypto", path: "Tests/CCrypto", providers: [.apt(["libssl-dev"])]))
  cryptography.append("CCrypto")
  // What a thread allocates can be counted with glibc.
  targets.append(.target(name: "CAllocations", path: "Tests/CAllocations"))
  tested.append("CAllocations")
#endif
targets += [
  .target(name: "TestCryptography", dependencies: cryptography, path: "Tests/TestCryptography"),
  .testTarget(name: "LiteClassifierTests", dependencies: tested),
]

/// What builds the C++ core at `path` against a wheel's folder, and runs files on it.
func runtime(
  path: String, root: String, headers: [String], defines: [CXXSetting], libraries: [String]
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
  let tests: Target = .testTarget(
    name: "LiteRuntimeTests", dependencies: ["LiteRuntime", "TestCryptography"])
  return [core, swiftRuntime(), tests]
}

/// Swift over the C++ core.
func swiftRuntime() -> Target {
  .target(
    name: "LiteRuntime", dependencies: ["LiteClassifier", "LiteCore"])
}

/// `Runtime.json` beside this file, where there is one: the runtime that comes with the product.
/// README.md tells what stands in it. Without it the app links a runtime itself, as with CocoaPods.
struct Brought: Decodable {
  enum Name: String, Decodable { case lite, executorch }

  let name: Name
  /// Of the lite interpreter: a folder in this package, or an archive with its checksum.
  let xcframework: String?
  let url: String?
  let checksum: String?
  /// Of ExecuTorch: the branch of its Swift package.
  let branch: String?

  enum CodingKeys: String, CodingKey {
    case name = "MODEL_RUNTIME"
    case xcframework, url, checksum, branch
  }

  static func read() -> Brought? {
    let file = URL(fileURLWithPath: Context.packageDirectory + "/Runtime.json")
    guard let json = try? Data(contentsOf: file) else { return nil }
    do {
      return try JSONDecoder().decode(Brought.self, from: json)
    } catch {
      fatalError("Runtime.json: \(error)")
    }
  }

  /// Operators and kernels register themselves, and nothing calls them by name: without this flag
  /// the linker drops them, and every model fails to load.
  private var linking: [LinkerSetting] {
    [
      .linkedLibrary("c++"), .linkedFramework("Accelerate"),
      .unsafeFlags(["-Xlinker", "-all_load"]),
    ]
  }

  var targets: [Target] {
    switch name {
    case .lite:
      let core: Target = .target(
        name: "LiteCore", dependencies: ["LibTorchLite"], linkerSettings: linking)
      return [torch, core, swiftRuntime()]
    case .executorch:
      let products = ["executorch", "backend_xnnpack", "kernels_optimized", "kernels_quantized"]
      let version = branch?.split(separator: "-").last ?? "unknown"
      let core: Target = .target(
        name: "LiteCore", dependencies: products.map { .product(name: $0, package: "executorch") },
        path: "Sources/ExecuTorchCore",
        cxxSettings: [.define("EXECUTORCH_VERSION", to: "\"\(version)\"")],
        linkerSettings: linking)
      return [core, swiftRuntime()]
    }
  }

  private var torch: Target {
    switch (xcframework, url, checksum) {
    case (let path?, nil, nil):
      return .binaryTarget(name: "LibTorchLite", path: path)
    case (nil, let url?, let checksum?):
      return .binaryTarget(name: "LibTorchLite", url: url, checksum: checksum)
    default:
      fatalError("Runtime.json: state xcframework, or url and checksum")
    }
  }

  var dependencies: [Package.Dependency] {
    guard name == .executorch else { return [] }
    guard let branch else { fatalError("Runtime.json: state branch, as swiftpm-1.5.0") }
    return [.package(url: "https://github.com/pytorch/executorch.git", branch: branch)]
  }
}

// With TORCH_ROOT or EXECUTORCH_ROOT (a wheel's folder, the one with lib/ and include/ in it) the C++
// core is built too and real files run: `.ptl` on torch, `.pte` on ExecuTorch. One of the two, as in
// an app: each brings an XNNPACK of its own, under the same names.
let environment = ProcessInfo.processInfo.environment
switch (environment["TORCH_ROOT"], environment["EXECUTORCH_ROOT"]) {
case (nil, nil):
  if let brought = Brought.read() {
    targets += brought.targets
    dependencies += brought.dependencies
  }
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
    libraries: ["torch_cpu", "c10"])
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
    ])
}

// One product: the API, and the runtime where one comes with it.
let offered = ["LiteClassifier", "LiteRuntime"].filter { name in
  targets.contains { $0.name == name }
}

let package = Package(
  name: "LiteClassifier",
  platforms: [.iOS(.v17), .macOS(.v14)],
  products: [.library(name: "LiteClassifier", targets: offered)],
  dependencies: dependencies,
  targets: targets,
  // Every data race that the compiler can see is an error, on every platform.
  swiftLanguageModes: [.v6],
  cxxLanguageStandard: .cxx17
)

import Foundation

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#endif

/// Return the memory this process holds, in MB of 10^6 bytes; nil where it cannot be read.
///
/// On Apple's systems the footprint that the system kills apps by, on Linux the resident set.
public func residentMegabytes() -> Double? {
  #if canImport(Darwin)
    var info = task_vm_info_data_t()
    let words = MemoryLayout<task_vm_info_data_t>.size / MemoryLayout<integer_t>.size
    var count = mach_msg_type_number_t(words)
    let status = withUnsafeMutablePointer(to: &info) { pointer in
      pointer.withMemoryRebound(to: integer_t.self, capacity: words) {
        task_info(mach_task_self_, task_flavor_t(TASK_VM_INFO), $0, &count)
      }
    }
    return status == KERN_SUCCESS ? Double(info.phys_footprint) / 1e6 : nil
  #else
    guard let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .ascii),
      let pages = text.split(separator: " ").dropFirst().first.flatMap({ Double($0) })
    else { return nil }
    return pages * Double(sysconf(Int32(_SC_PAGESIZE))) / 1e6
  #endif
}

extension Benchmark.Device {
  /// Describe the device this runs on; `app` is the name and version of the app.
  public static func current(app: String) -> Benchmark.Device {
    var names = utsname()
    uname(&names)
    func text<Field>(_ field: Field) -> String {
      withUnsafeBytes(of: field) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }
    let machine = text(names.machine)
    let process = ProcessInfo.processInfo
    let version = process.operatingSystemVersion
    let number = "\(version.majorVersion).\(version.minorVersion)"
    let cores = process.processorCount
    #if os(iOS)
      // On the simulator `machine` is the Mac's.
      let model = process.environment["SIMULATOR_MODEL_IDENTIFIER"].map { "\($0) (simulator)" }
      return Benchmark.Device(
        platform: .ios, model: model ?? machine, os: "iOS \(number)", cpu: architecture,
        cores: cores, app: app)
    #elseif os(macOS)
      return Benchmark.Device(
        platform: .macos, model: machine, os: "macOS \(number)", cpu: architecture, cores: cores,
        app: app)
    #else
      return Benchmark.Device(
        platform: .linux, model: machine, os: "Linux \(number)", cpu: architecture, cores: cores,
        app: app)
    #endif
  }

  private static var architecture: String {
    #if arch(arm64)
      "arm64"
    #elseif arch(x86_64)
      "x86_64"
    #else
      "unknown"
    #endif
  }
}

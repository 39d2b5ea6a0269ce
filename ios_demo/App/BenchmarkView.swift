import LiteClassifier
import SwiftUI

/// A benchmark that runs, or what it came to.
struct BenchmarkSection: View {
  let timing: ClassifierModel.Timing
  let cancel: () -> Void

  var body: some View {
    switch timing {
    case .none:
      EmptyView()
    case .running(let done, let count):
      Section("Benchmark") {
        ProgressView(value: Double(done), total: Double(count)) {
          Text("Timing model \(done + 1) of \(count)")
        }
        Button("Cancel") { cancel() }
      }
    case .canceling:
      Section("Benchmark") { Text("Ending after the inference in hand") }
    case .finished(let benchmark):
      TimesSection(benchmark: benchmark)
    case .failed(let sentence):
      Section("Benchmark") { Label(sentence, systemImage: "exclamationmark.triangle") }
    }
  }
}

/// Times of every model, to look at and to share.
private struct TimesSection: View {
  let benchmark: Benchmark

  var body: some View {
    ForEach(benchmark.devices.flatMap(\.runs)) { run in
      Section(run.label) {
        LabeledContent("Median", value: String(format: "%.1f ms", run.medianMs))
        LabeledContent("95th percentile", value: String(format: "%.1f ms", run.p95Ms))
        if let load = run.loadMs {
          LabeledContent("Opening the file", value: String(format: "%.0f ms", load))
        }
        if let peak = run.peakMb {
          LabeledContent("Peak memory", value: String(format: "%.0f MB", peak))
        }
      }
    }
    ForEach(benchmark.devices.flatMap(\.skipped), id: \.label) { skipped in
      Section(skipped.label) {
        Label(skipped.reason, systemImage: "exclamationmark.triangle")
      }
    }
    Section {
      ShareLink(item: BenchmarkFile(benchmark: benchmark), preview: SharePreview("Benchmark")) {
        Label("Share the benchmark as JSON", systemImage: "square.and.arrow.up")
      }
    }
  }
}

/// The JSON file that `python -m runtime_check bench --import` reads.
struct BenchmarkFile: Transferable {
  let benchmark: Benchmark

  static var transferRepresentation: some TransferRepresentation {
    DataRepresentation(exportedContentType: .json) { try $0.benchmark.json() }
      .suggestedFileName("benchmark.json")
  }
}

#Preview("A benchmark") {
  List {
    BenchmarkSection(timing: .running(done: 1, of: 3)) {}
    BenchmarkSection(timing: .canceling) {}
    BenchmarkSection(timing: .failed("No model is installed, so nothing was timed.")) {}
  }
}

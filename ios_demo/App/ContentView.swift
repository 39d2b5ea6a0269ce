import LiteClassifier
import PhotosUI
import SwiftUI
import UIKit
import UniformTypeIdentifiers

/// The one screen: model and badge, photo, and what came out.
struct ContentView: View {
  let model: ClassifierModel
  @State private var pick: PhotosPickerItem?
  @State private var picture: UIImage?
  @State private var showsCamera = false
  @State private var choosesFile = false
  /// The score that a box must have; nil until the slider is moved, and after another model.
  @State private var threshold: Double?

  var body: some View {
    NavigationStack {
      List {
        ModelSection(model: model)
        if let picture {
          PhotoSection(picture: picture, result: model.first.phase.result, threshold: threshold)
        }
        PhaseSection(
          phase: model.first.phase, takesPhotos: model.first.photoRefusal == nil,
          threshold: $threshold)
        BenchmarkSection(timing: model.timing) { model.cancelBenchmark() }
      }
      .navigationTitle("Lite Demo")
      .toolbar {
        ToolbarItemGroup(placement: .bottomBar) {
          PhotosPicker(selection: $pick, matching: .images) {
            Label("Choose a photo", systemImage: "photo.on.rectangle")
          }
          .disabled(isBusy || model.first.photoRefusal != nil)
          Spacer()
          Button {
            showsCamera = true
          } label: {
            Label("Open the camera", systemImage: "camera")
          }
          .disabled(isBusy || model.first.model == nil || model.first.photoRefusal != nil)
          Spacer()
          Button {
            choosesFile = true
          } label: {
            Label("Open a model file", systemImage: "folder")
          }
          .disabled(isBusy)
          Spacer()
          Button {
            Task { await model.benchmark() }
          } label: {
            Label("Time all models", systemImage: "stopwatch")
          }
          .disabled(isBusy || model.files.isEmpty)
        }
      }
    }
    .task { await model.start() }
    // Another choice ends the work on the one before.
    .task(id: pick) {
      if let pick { await use(pick) }
    }
    // Another model's scores may have another scale.
    .onChange(of: model.first.selected) { threshold = nil }
    .onChange(of: model.first.phase) {
      // What a sighted person sees change is spoken.
      if let text = model.first.phase.announcement {
        AccessibilityNotification.Announcement(text).post()
      }
    }
    .fileImporter(isPresented: $choosesFile, allowedContentTypes: UTType.models) { chosen in
      switch chosen {
      case .success(let file): Task { await open(file) }
      case .failure(let error): model.report(error)
      }
    }
    // From Files, Mail or AirDrop.
    .onOpenURL { file in Task { await open(file) } }
    .fullScreenCover(isPresented: $showsCamera) {
      CameraView(model: model) { data in await use(data) }
    }
  }

  private var isBusy: Bool {
    if case .opening = model.first.phase { return true }
    return model.isTiming
  }

  /// Open a file that may lie outside the app's own folders.
  private func open(_ file: URL) async {
    let isLent = file.startAccessingSecurityScopedResource()
    defer { if isLent { file.stopAccessingSecurityScopedResource() } }
    await model.open(file)
  }

  private func use(_ item: PhotosPickerItem) async {
    do {
      guard let data = try await item.loadTransferable(type: Data.self) else {
        throw VisionError.photoUnreadable(why: "the library did not hand it over")
      }
      guard !Task.isCancelled else { return }
      await use(data)
    } catch {
      if !Task.isCancelled { model.report(error) }
    }
  }

  private func use(_ data: Data) async {
    do {
      let photo = try Photo(encoded: data)
      let shown = await Task.detached { smallPicture(data) }.value
      guard !Task.isCancelled else { return }
      picture = shown
      await model.run(photo)
    } catch {
      model.report(error)
    }
  }
}

extension UTType {
  /// What the app opens, as `Info.plist` declares it.
  fileprivate static let models = [
    UTType(importedAs: "org.pytorch.lite"), UTType(importedAs: "org.pytorch.executorch"),
  ]
}

/// Which model is used, and whether it computes here what it computed in Python.
private struct ModelSection: View {
  let model: ClassifierModel

  var body: some View {
    Section("Model") {
      if !model.files.isEmpty {
        Picker("Variant", selection: selection) {
          ForEach(model.files, id: \.self) { file in
            Text(model.title(file)).tag(Optional(file))
          }
        }
        .disabled(model.isTiming)
        .accessibilityHint("The model you choose runs on the photo again")
      }
      BadgeRow(badge: model.first.badge)
      if let refusal = model.first.photoRefusal {
        Label(refusal, systemImage: "photo")
      }
    }
  }

  private var selection: Binding<URL?> {
    Binding(
      get: { model.first.selected },
      set: { file in
        guard let file, file != model.first.selected else { return }
        Task { await model.select(file) }
      })
  }
}

/// The golden-vector badge.
private struct BadgeRow: View {
  let badge: ModelSlot.Badge

  var body: some View {
    switch badge {
    case .none:
      EmptyView()
    case .checking:
      HStack {
        ProgressView()
        Text("Replaying the golden vectors")
      }
      .accessibilityElement(children: .combine)
    case .checked(let verdict):
      row(
        verdict.sentence, verdict.passes ? "checkmark.seal.fill" : "xmark.seal.fill",
        verdict.passes ? .green : .red, verdict.passes ? "Parity passed." : "Parity failed.")
    case .failed(let sentence):
      row(sentence, "xmark.seal.fill", .red, "Parity not checked.")
    }
  }

  private func row(_ text: String, _ symbol: String, _ color: Color, _ spoken: String) -> some View
  {
    Label {
      Text(text).font(.footnote)
    } icon: {
      Image(systemName: symbol).foregroundStyle(color)
    }
    .accessibilityElement(children: .ignore)
    .accessibilityLabel("\(spoken) \(text)")
  }
}

/// What the last thing done came to.
private struct PhaseSection: View {
  let phase: ModelSlot.Phase
  let takesPhotos: Bool
  @Binding var threshold: Double?

  var body: some View {
    switch phase {
    case .empty:
      message(
        "No model is installed. Run “python -m exporter --install ios_demo” in the project, then "
          + "build the app again, or open a .ptl or .pte file.", "shippingbox")
    case .opening(let name):
      working("Opening \(name)")
    case .ready:
      if takesPhotos {
        message("Choose a photo or open the camera.", "photo")
      }
    case .running:
      working("Running the model")
    case .finished(let result):
      ResultSection(result: result, threshold: $threshold)
    case .failed(let sentence):
      message(sentence, "exclamationmark.triangle")
    }
  }

  private func message(_ text: String, _ symbol: String) -> some View {
    Section {
      Label(text, systemImage: symbol)
    }
  }

  private func working(_ text: String) -> some View {
    Section {
      HStack {
        ProgressView()
        Text(text)
      }
      .accessibilityElement(children: .combine)
    }
  }
}

/// A benchmark that runs, or what it came to.
private struct BenchmarkSection: View {
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

extension ModelSlot.Phase {
  /// What VoiceOver says when this state is reached; nil for states that pass by.
  var announcement: String? {
    switch self {
    case .finished(let result):
      result.content.summary
    case .failed(let sentence):
      sentence
    case .empty, .opening, .ready, .running:
      nil
    }
  }

  /// What came out for the photo; nil in every other state.
  fileprivate var result: VisionResult? {
    if case .finished(let result) = self { result } else { nil }
  }
}

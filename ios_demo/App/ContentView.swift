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

  @Environment(\.horizontalSizeClass) private var width
  @Environment(\.verticalSizeClass) private var height

  var body: some View {
    NavigationStack {
      screen
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
    // What a sighted person sees change is spoken.
    .onChange(of: model.first.phase) { speak(model.first.phase.announcement) }
    .onChange(of: model.second.phase) { speak(model.second.phase.announcement) }
    .onChange(of: model.timing) {
      if case .finished = model.timing { speak(String(localized: "The benchmark is done.")) }
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

  /// A phone that is held upright has one column; lying, and on an iPad, there is room for two.
  @ViewBuilder private var screen: some View {
    let isWide = width == .regular || height == .compact
    let hasTwo = model.second.phase != .empty
    if isWide, hasTwo {
      HStack {
        List {
          ModelSection(model: model)
          first(title: true)
          benchmark
        }
        List { second }
      }
    } else if isWide, let picture {
      HStack {
        PhotoView(picture: picture, result: model.first.phase.result, threshold: threshold)
          .padding()
        List {
          ModelSection(model: model)
          first(title: false, photo: false)
          benchmark
        }
      }
    } else {
      List {
        ModelSection(model: model)
        first(title: hasTwo)
        if hasTwo { second }
        benchmark
      }
    }
  }

  private func first(title: Bool, photo: Bool = true) -> some View {
    SlotSections(
      slot: model.first, title: title ? model.first.selected.map(model.title) : nil,
      picture: photo ? picture : nil, threshold: $threshold)
  }

  private var second: some View {
    SlotSections(
      slot: model.second, title: model.second.selected.map(model.title), picture: picture,
      threshold: $threshold)
  }

  private var benchmark: some View {
    BenchmarkSection(timing: model.timing) { model.cancelBenchmark() }
  }

  private var isBusy: Bool {
    if case .opening = model.first.phase { return true }
    return model.isTiming
  }

  private func speak(_ text: String?) {
    if let text { AccessibilityNotification.Announcement(text).post() }
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

/// One model's photo and what came out for it.
private struct SlotSections: View {
  let slot: ModelSlot
  /// Where there are two.
  let title: String?
  let picture: UIImage?
  @Binding var threshold: Double?

  var body: some View {
    if let title {
      Section {
        Text(title)
          .font(.headline)
          .accessibilityAddTraits(.isHeader)
      }
    }
    if let picture {
      Section {
        PhotoView(picture: picture, result: slot.phase.result, threshold: threshold)
          .frame(maxHeight: 320)
          .frame(maxWidth: .infinity)
      }
    }
    PhaseSection(phase: slot.phase, takesPhotos: slot.photoRefusal == nil, threshold: $threshold)
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
        "No model is installed. Open a .ptl or .pte file, or install one on a computer: README.md.",
        "shippingbox")
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
      Section {
        Label(sentence, systemImage: "exclamationmark.triangle")
      }
    }
  }

  private func message(_ text: LocalizedStringKey, _ symbol: String) -> some View {
    Section {
      Label(text, systemImage: symbol)
    }
  }

  private func working(_ text: LocalizedStringKey) -> some View {
    Section {
      HStack {
        ProgressView()
        Text(text)
      }
      .accessibilityElement(children: .combine)
    }
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
  var result: VisionResult? {
    if case .finished(let result) = self { result } else { nil }
  }
}

#Preview("With the installed models") {
  ContentView(model: .installed)
}

#Preview("Without a model") {
  ContentView(model: .of(URL(fileURLWithPath: "/nowhere")))
}

import LiteClassifier
import SwiftUI

/// Which models are used, and whether they compute here what they computed in Python.
struct ModelSection: View {
  let model: ClassifierModel

  var body: some View {
    Section("Model") {
      if !model.files.isEmpty {
        Picker("Variant", selection: first) { choices }
          .disabled(model.isTiming)
          .accessibilityHint("The model you choose runs on the photo again")
      }
      BadgeRow(badge: model.first.badge)
      if let refusal = model.first.photoRefusal {
        Label(refusal, systemImage: "photo")
      }
      if model.files.count > 1 {
        Picker("Beside it", selection: second) {
          Text("None").tag(URL?.none)
          choices
        }
        .disabled(model.isTiming)
        .accessibilityHint("Another model that runs on the same photo")
        BadgeRow(badge: model.second.badge)
        if let refusal = model.second.photoRefusal {
          Label(refusal, systemImage: "photo")
        }
      }
    }
  }

  private var choices: some View {
    ForEach(model.files, id: \.self) { file in
      Text(model.title(file)).tag(Optional(file))
    }
  }

  private var first: Binding<URL?> {
    Binding(
      get: { model.first.selected },
      set: { file in
        guard let file, file != model.first.selected else { return }
        Task { await model.select(file) }
      })
  }

  private var second: Binding<URL?> {
    Binding(
      get: { model.second.selected },
      set: { file in
        guard file != model.second.selected else { return }
        Task { await model.compare(with: file) }
      })
  }
}

/// The golden-vector badge.
struct BadgeRow: View {
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
        verdict.passes ? .green : .red,
        verdict.passes ? String(localized: "Parity passed.") : String(localized: "Parity failed."))
    case .failed(let sentence):
      row(sentence, "xmark.seal.fill", .red, String(localized: "Parity not checked."))
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
    .accessibilityLabel(spoken + " " + text)
  }
}

#Preview("Badges") {
  List {
    ModelSection(model: .installed)
    BadgeRow(badge: .checking)
    BadgeRow(badge: .failed("The golden vectors of this file cannot be read."))
  }
}

import CoreGraphics
import LiteClassifier
import SwiftUI
import UIKit

/// The photo, with what the model sees in it drawn over it, or the picture it makes beside it.
struct PhotoView: View {
  let picture: UIImage
  /// What came out for this photo; nil while nothing has.
  let result: VisionResult?
  /// The score that a box must have to be drawn; nil: the one to begin with.
  let threshold: Double?

  var body: some View {
    HStack {
      Image(uiImage: picture)
        .resizable()
        .scaledToFit()
        .accessibilityLabel("The photo")
        // Before any frame, which may be wider than the photo.
        .overlay {
          if let result { ResultDrawing(result: result, threshold: threshold) }
        }
      if case .picture(let made)? = result?.content {
        MadeImage(made: made)
      }
    }
  }
}

/// The picture that a model makes, by itself.
struct MadeImage: View {
  let made: MadePicture

  var body: some View {
    if let drawn = made.image.drawn {
      Image(decorative: drawn, scale: 1)
        .resizable()
        .scaledToFit()
        .accessibilityLabel("The picture that the model makes of it")
    }
  }
}

/// What a result draws over the photo or the frame that it is of; nothing for other results.
struct ResultDrawing: View {
  let result: VisionResult
  let threshold: Double?

  var body: some View {
    switch result.content {
    case .classMap(let segmentation):
      OverlayImage(image: segmentation.mask)
    case .depth(let depth):
      OverlayImage(image: depth.image)
    case .boxes(let detections):
      BoxesOverlay(
        detections: detections.above(detections.threshold(threshold)), width: result.width,
        height: result.height)
    case .keyPoints(let points):
      PointsOverlay(points: points, width: result.width, height: result.height)
    case .classes, .picture, .embedding, .numbers, .tensors:
      EmptyView()
    }
  }
}

/// A picture stretched over the photo. What it shows is listed below the photo, and spoken there.
private struct OverlayImage: View {
  let image: RGBAImage

  var body: some View {
    if let drawn = image.drawn {
      Image(decorative: drawn, scale: 1)
        .resizable()
    }
  }
}

extension RGBAImage {
  /// The picture as the system draws it; nil where there is no memory for it.
  var drawn: CGImage? {
    guard let provider = CGDataProvider(data: Data(bytes) as CFData) else { return nil }
    return CGImage(
      width: width, height: height, bitsPerComponent: 8, bitsPerPixel: 32, bytesPerRow: width * 4,
      space: CGColorSpaceCreateDeviceRGB(),
      bitmapInfo: CGBitmapInfo(rawValue: CGImageAlphaInfo.last.rawValue), provider: provider,
      decode: nil, shouldInterpolate: false, intent: .defaultIntent)
  }
}

extension Color {
  fileprivate init(_ color: RGBColor) {
    self.init(
      .sRGB, red: Double(color.red) / 255, green: Double(color.green) / 255,
      blue: Double(color.blue) / 255)
  }
}

/// Boxes with their labels. They are listed below the photo, and spoken there.
private struct BoxesOverlay: View {
  let detections: [Detection]
  /// Size of the image that the boxes lie on, in pixels.
  let width: Int
  let height: Int

  var body: some View {
    Canvas { context, size in
      // The best is drawn last, over the others.
      for detection in detections.reversed() {
        let color = GraphicsContext.Shading.color(Color(.ofClass(detection.classIndex ?? 0)))
        let box = detection.box.scaled(
          x: size.width / Double(width), y: size.height / Double(height))
        let frame = CGRect(
          x: box.left, y: box.top, width: box.right - box.left, height: box.bottom - box.top)
        context.stroke(Path(frame), with: color, lineWidth: 2)
        // The palette is bright in light and dark mode.
        let text = context.resolve(Text(detection.text).font(.caption).foregroundStyle(.black))
        let needed = text.measure(in: size)
        let place = CGRect(
          x: box.left, y: max(box.top - needed.height, 0), width: needed.width,
          height: needed.height)
        context.fill(Path(place), with: color)
        context.draw(text, in: place)
      }
    }
    .accessibilityHidden(true)
  }
}

/// Key points: filled where they are sure, else rings. They are listed below the photo.
private struct PointsOverlay: View {
  let points: [KeyPoint]
  /// Size of the image that the points lie on, in pixels.
  let width: Int
  let height: Int

  var body: some View {
    Canvas { context, size in
      let radius = max(size.width, size.height) / 70
      for point in points.reversed() {
        let x = point.x * size.width / Double(width)
        let y = point.y * size.height / Double(height)
        // A dark rim: the photo may have the color.
        for (reach, color) in [(radius + 1, Color(.rim)), (radius, Color(.ofClass(point.index)))] {
          let circle = Path(
            ellipseIn: CGRect(x: x - reach, y: y - reach, width: 2 * reach, height: 2 * reach))
          if point.isSure {
            context.fill(circle, with: .color(color))
          } else {
            context.stroke(circle, with: .color(color), lineWidth: 2)
          }
        }
      }
    }
    .accessibilityHidden(true)
  }
}

extension RGBColor {
  /// What stands out from every class and every photo that has its color.
  fileprivate static let rim = RGBColor(hue: 0, saturation: 0, value: 0)
}

/// What the outputs mean for the task, and what they cost.
struct ResultSection: View {
  let result: VisionResult
  @Binding var threshold: Double?

  var body: some View {
    switch result.content {
    case .classes(let predictions):
      Section("Top \(predictions.count)") {
        ForEach(predictions) { PredictionRow(prediction: $0) }
      }
    case .classMap(let segmentation):
      LegendSection(legend: segmentation.legend)
    case .depth(let depth):
      Section("Depth") {
        LegendRow(
          color: .ofShare(0), label: String(localized: "Smallest"), value: depth.text(depth.minimum)
        )
        LegendRow(
          color: .ofShare(1), label: String(localized: "Largest"), value: depth.text(depth.maximum))
      }
    case .boxes(let detections):
      DetectionSection(detections: detections, threshold: $threshold)
    case .keyPoints(let points):
      Section("\(points.count) points") {
        ForEach(points) {
          LegendRow(color: .ofClass($0.index), label: $0.label, value: $0.text)
        }
      }
    case .picture(let made):
      Section("Picture of \(made.image.width) × \(made.image.height) pixels") {
        LabeledContent("Black", value: made.text(made.black))
        LabeledContent("White", value: made.text(made.white))
      }
    case .embedding(let embedding):
      Section("Embedding") {
        LabeledContent(
          "Cosine similarity to the previous photo",
          value: embedding.text ?? String(localized: "Choose another photo"))
        LabeledContent("Numbers", value: "\(embedding.values.count)")
      }
    case .numbers(let quantities):
      Section("Result") {
        ForEach(quantities) { LabeledContent($0.name, value: $0.text) }
      }
    case .tensors(let rows):
      Section("Outputs") {
        ForEach(rows) { OutputRowView(row: $0) }
      }
    }
    if !result.others.isEmpty {
      Section("Other outputs") {
        ForEach(result.others) { OutputRowView(row: $0) }
      }
    }
    Section("Cost") {
      LabeledContent("Latency", value: String(format: "%.1f ms", result.milliseconds))
      if let memory = result.memoryMegabytes {
        LabeledContent("Memory of the app", value: String(format: "%.0f MB", memory))
      }
      LabeledContent("Image", value: "\(result.width) × \(result.height)")
    }
  }
}

/// A label and its value; below each other where large type leaves no room beside it.
private struct ValueRow: View {
  let label: String
  let value: String

  var body: some View {
    ViewThatFits(in: .horizontal) {
      HStack {
        Text(label)
        Spacer()
        number
      }
      VStack(alignment: .leading) {
        Text(label)
        number
      }
    }
  }

  private var number: some View {
    Text(value).monospacedDigit().foregroundStyle(.secondary)
  }
}

/// One class: label, score, bar.
private struct PredictionRow: View {
  let prediction: Prediction

  var body: some View {
    VStack(alignment: .leading) {
      ValueRow(label: prediction.label, value: prediction.text)
      if let bar = prediction.bar {
        ProgressView(value: bar)
      }
    }
    .accessibilityElement(children: .ignore)
    .accessibilityLabel(prediction.label)
    .accessibilityValue(prediction.text)
  }
}

/// The classes that a segmentation sees, with the share of the photo that each has.
private struct LegendSection: View {
  let legend: [LegendEntry]

  var body: some View {
    Section("Classes in the photo") {
      ForEach(legend) { entry in
        LegendRow(color: entry.color, label: entry.label, value: entry.text)
      }
      if legend.isEmpty {
        Text("Nothing is segmented in this photo.")
      }
    }
  }
}

/// A color with what it stands for; without a color: what is not drawn.
private struct LegendRow: View {
  let color: RGBColor?
  let label: String
  let value: String

  var body: some View {
    HStack {
      if let color {
        Image(systemName: "square.fill").foregroundStyle(Color(color))
      } else {
        Image(systemName: "square.dashed").foregroundStyle(.secondary)
      }
      ValueRow(label: label, value: value)
    }
    .accessibilityElement(children: .ignore)
    .accessibilityLabel(label)
    .accessibilityValue(value)
  }
}

/// The boxes above a threshold, and the slider that sets it.
private struct DetectionSection: View {
  let detections: Detections
  @Binding var threshold: Double?

  var body: some View {
    let shown = detections.above(current)
    Section("\(shown.count) of \(detections.all.count) boxes") {
      if let range = detections.range {
        VStack(alignment: .leading) {
          Text("Score of at least \(String(format: "%.2f", current))").monospacedDigit()
          Slider(value: slider, in: range) {
            Text("Smallest score that is shown")
          }
        }
      }
      ForEach(shown) { detection in
        LegendRow(
          color: .ofClass(detection.classIndex ?? 0), label: detection.label,
          value: detection.scoreText)
      }
    }
  }

  private var current: Double { detections.threshold(threshold) }

  private var slider: Binding<Double> {
    Binding(get: { current }, set: { threshold = $0 })
  }
}

/// One output: name, shape, and the range of its numbers.
private struct OutputRowView: View {
  let row: OutputRow

  var body: some View {
    VStack(alignment: .leading) {
      ValueRow(label: row.name, value: row.dtype + " " + row.shape)
      if !row.axes.isEmpty {
        Text(row.axes).font(.footnote).foregroundStyle(.secondary)
      }
      Text(row.range).font(.footnote).monospacedDigit()
    }
    .accessibilityElement(children: .combine)
  }
}

#Preview("Classes") {
  List {
    ResultSection(
      result: VisionResult(
        content: .classes([
          Prediction(id: 0, label: "cat", score: 0.62, bar: 0.62, text: "62.0%"),
          Prediction(id: 1, label: "lynx", score: 0.3, bar: 0.3, text: "30.0%"),
        ]), milliseconds: 21.4, memoryMegabytes: 84, width: 640, height: 480),
      threshold: .constant(nil))
  }
}

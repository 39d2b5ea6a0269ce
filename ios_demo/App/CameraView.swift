// For the session, which the preview only hands to its layer.
@preconcurrency import AVFoundation
import LiteClassifier
import SwiftUI
import UIKit

/// The live camera: shows what the model makes of it, and takes a photo to be looked at properly.
struct CameraView: View {
  let model: ClassifierModel
  /// Gets the encoded photo after the camera has closed.
  let take: (Data) async -> Void
  @State private var camera = Camera()
  @State private var abilities = Camera.Abilities()
  @State private var zoom = 1.0
  /// How often another camera was taken into use.
  @State private var turns = 0
  @State private var isLit = false
  /// Why there is no camera at all.
  @State private var failure: String?
  /// What went wrong while it runs.
  @State private var notice: String?
  @Environment(\.dismiss) private var dismiss
  @Environment(\.verticalSizeClass) private var height

  var body: some View {
    // Held sideways, what is said stands beside the picture, which needs the height.
    let layout = height == .compact ? AnyLayout(HStackLayout()) : AnyLayout(VStackLayout())
    layout {
      if let failure {
        ContentUnavailableView(
          "No camera", systemImage: "camera", description: Text(failure))
      } else {
        CameraPreview(session: camera.session, turns: turns)
          .ignoresSafeArea(edges: .top)
          .accessibilityLabel("Camera preview")
          // The frame that a drawing is of hides the preview, which is ahead of it.
          .overlay {
            if let live = model.live, live.result.content.isDrawn { LivePicture(live: live) }
          }
      }
      VStack {
        said
        if abilities.zoom > 1 {
          Slider(value: $zoom, in: 1...abilities.zoom) { Text("Zoom") }
            .padding()
        }
        controls
      }
    }
    .onChange(of: zoom) { Task { await camera.zoom(to: zoom) } }
    .onChange(of: isLit) { Task { await camera.light(isLit) } }
    .task { await watch() }
    .task {
      for await _ in camera.interruptions() {
        notice = String(
          localized: "Another app uses the camera, or a call does. It goes on when that ends.")
      }
    }
    .task {
      for await _ in camera.resumptions() { notice = nil }
    }
    .task {
      for await _ in camera.failures() {
        notice = String(localized: "The camera stopped, and is started again.")
        if await camera.restart() { notice = nil }
      }
    }
  }

  /// The answer in words, and how fast answers come. Scrolls where large type leaves no room.
  private var said: some View {
    ViewThatFits(in: .vertical) {
      words
      ScrollView { words }
    }
  }

  private var words: some View {
    VStack {
      if let text = notice ?? model.liveFailure ?? model.live?.result.content.summary {
        Text(text)
      }
      if let live = model.live { pace(live) }
    }
    .padding()
  }

  private func pace(_ live: ClassifierModel.LiveFrame) -> some View {
    let latency = String(format: "%.0f", live.result.milliseconds)
    let rate = live.perSecond.map { String(format: "%.1f", $0) } ?? "…"
    return Text("\(latency) ms, \(rate) frames a second")
      .font(.footnote)
      .monospacedDigit()
  }

  private var controls: some View {
    HStack {
      Button {
        dismiss()
      } label: {
        Image(systemName: "xmark")
      }
      .accessibilityLabel("Close the camera")
      Spacer()
      if abilities.turns {
        Button {
          Task { await turn() }
        } label: {
          Image(systemName: "arrow.triangle.2.circlepath.camera")
        }
        .accessibilityLabel("Use the camera on the other side")
        Spacer()
      }
      Button {
        Task { await shoot() }
      } label: {
        Image(systemName: "circle.inset.filled").font(.largeTitle)
      }
      .accessibilityLabel("Take a photo")
      .disabled(failure != nil)
      if abilities.hasLight {
        Spacer()
        Button {
          isLit.toggle()
        } label: {
          Image(systemName: isLit ? "flashlight.on.fill" : "flashlight.off.fill")
        }
        .accessibilityLabel(isLit ? Text("Switch the light off") : Text("Switch the light on"))
      }
    }
    .padding()
  }

  /// Run the model on one frame after the other until the view goes.
  private func watch() async {
    do {
      abilities = try await camera.start()
      turns += 1
      await withTaskCancellationHandler {
        while let frame = await camera.nextFrame() {
          await model.runLive(frame)
        }
      } onCancel: { [camera] in
        // The next frame never comes then.
        camera.stop()
      }
    } catch {
      failure = error.localizedDescription
    }
    camera.stop()
    model.stopLive()
  }

  private func turn() async {
    // The other camera begins without either.
    (zoom, isLit) = (1, false)
    model.stopLive()
    abilities = await camera.turn()
    turns += 1
  }

  private func shoot() async {
    do {
      notice = nil
      let data = try await camera.takePhoto()
      dismiss()
      await take(data)
    } catch {
      // The camera still runs, so that another try is one tap away.
      notice = error.localizedDescription
    }
  }
}

/// A frame with what the model sees in it, or the picture that it makes of it.
private struct LivePicture: View {
  let live: ClassifierModel.LiveFrame

  var body: some View {
    ZStack {
      Rectangle().fill(.background)
      if case .picture(let made) = live.result.content {
        MadeImage(made: made)
      } else if let frame = RGBAImage(live.frame).drawn {
        Image(decorative: frame, scale: 1)
          .resizable()
          .scaledToFit()
          .overlay { ResultDrawing(result: live.result, threshold: nil) }
      }
    }
    .accessibilityHidden(true)
  }
}

/// What the camera sees, drawn by the system.
private struct CameraPreview: UIViewRepresentable {
  let session: AVCaptureSession
  /// Another number after each change of the camera, which has another way up.
  let turns: Int

  func makeUIView(context: Context) -> PreviewView {
    let view = PreviewView()
    view.previewLayer?.session = session
    view.previewLayer?.videoGravity = .resizeAspectFill
    return view
  }

  func updateUIView(_ view: PreviewView, context: Context) { view.stayUpright() }

  final class PreviewView: UIView {
    override class var layerClass: AnyClass { AVCaptureVideoPreviewLayer.self }

    var previewLayer: AVCaptureVideoPreviewLayer? { layer as? AVCaptureVideoPreviewLayer }

    private var rotation: AVCaptureDevice.RotationCoordinator?
    private var watching: NSKeyValueObservation?

    /// Follow the device's turns, by 180 degrees as well, which change no size on the screen.
    func stayUpright() {
      guard let previewLayer,
        let input = previewLayer.session?.inputs.first as? AVCaptureDeviceInput
      else { return }
      let rotation = AVCaptureDevice.RotationCoordinator(
        device: input.device, previewLayer: previewLayer)
      watching = rotation.observe(
        \.videoRotationAngleForHorizonLevelPreview, options: [.initial, .new]
      ) { [weak previewLayer] rotation, _ in
        let angle = rotation.videoRotationAngleForHorizonLevelPreview
        guard let connection = previewLayer?.connection,
          connection.isVideoRotationAngleSupported(angle)
        else { return }
        connection.videoRotationAngle = angle
      }
      self.rotation = rotation
    }
  }
}

#Preview("Where there is no camera") {
  CameraView(model: .installed) { _ in }
}

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
        CameraPreview(session: camera.session)
          .ignoresSafeArea(edges: .top)
          .accessibilityLabel("Camera preview")
          // The frame that a drawing is of hides the preview, which is ahead of it.
          .overlay {
            if let live = model.live, live.result.content.isDrawn { LivePicture(live: live) }
          }
      }
      VStack {
        if let text = notice ?? model.liveFailure ?? model.live?.result.content.summary {
          Text(text)
            .padding()
        }
        controls
      }
    }
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
  }

  private var controls: some View {
    HStack {
      Button("Cancel") { dismiss() }
      Spacer()
      Button {
        Task { await shoot() }
      } label: {
        Image(systemName: "circle.inset.filled").font(.largeTitle)
      }
      .accessibilityLabel("Take a photo")
      .disabled(failure != nil)
      Spacer()
      if let milliseconds = model.live?.result.milliseconds {
        Text(String(format: "%.0f ms", milliseconds)).monospacedDigit()
      }
    }
    .padding()
  }

  /// Run the model on one frame after the other until the view goes.
  private func watch() async {
    do {
      try await camera.start()
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

  func makeUIView(context: Context) -> PreviewView {
    let view = PreviewView()
    view.previewLayer?.session = session
    view.previewLayer?.videoGravity = .resizeAspectFill
    return view
  }

  func updateUIView(_ view: PreviewView, context: Context) {}

  final class PreviewView: UIView {
    override class var layerClass: AnyClass { AVCaptureVideoPreviewLayer.self }

    var previewLayer: AVCaptureVideoPreviewLayer? { layer as? AVCaptureVideoPreviewLayer }
  }
}

@_exported import SwiftUI

public final class UIImage: @unchecked Sendable {
  public init(cgImage: CGImage) {}
}

@MainActor open class UIView {
  public init() {}
  open class var layerClass: AnyClass { fatalError() }
  public var layer: CALayer { fatalError() }
}

open class CALayer {
  public init() {}
}

extension Image {
  public init(uiImage: UIImage) { fatalError() }
}

@MainActor @preconcurrency public protocol UIViewRepresentable: View where Body == Never {
  associatedtype UIViewType: UIView
  typealias Context = UIViewRepresentableContext<Self>
  func makeUIView(context: Context) -> UIViewType
  func updateUIView(_ view: UIViewType, context: Context)
}

extension UIViewRepresentable {
  public var body: Never { fatalError() }
}

public struct UIViewRepresentableContext<Representable: UIViewRepresentable> {}

// The names of SwiftUI that the app uses, with Apple's signatures, so that the app's own types are
// type-checked from its views on a machine without Apple's SDK. Nothing here does anything.
@_exported import CoreGraphics
@_exported import Foundation
@_exported import Observation
@_exported import UniformTypeIdentifiers

@MainActor @preconcurrency public protocol View {
  associatedtype Body: View
  @ViewBuilder var body: Body { get }
}

extension Never: View {
  public var body: Never { fatalError() }
}

public protocol Leaf: View where Body == Never {}
extension Leaf {
  public var body: Never { fatalError() }
}

public struct EmptyView: Leaf {
  public init() {}
}

public struct TupleView<each Content: View>: Leaf {
  init(_ content: repeat each Content) {}
}

public struct Either<First: View, Second: View>: Leaf {}

extension Optional: View where Wrapped: View {
  public var body: Never { fatalError() }
}

@resultBuilder public enum ViewBuilder {
  public static func buildBlock() -> EmptyView { EmptyView() }
  public static func buildBlock<Content: View>(_ content: Content) -> Content { content }
  public static func buildBlock<each Content: View>(_ content: repeat each Content) -> TupleView<
    repeat each Content
  > { fatalError() }
  public static func buildExpression<Content: View>(_ content: Content) -> Content { content }
  public static func buildIf<Content: View>(_ content: Content?) -> Content? { content }
  public static func buildEither<First: View, Second: View>(first: First) -> Either<First, Second> {
    fatalError()
  }
  public static func buildEither<First: View, Second: View>(second: Second) -> Either<
    First, Second
  > { fatalError() }
}

// MARK: App

@MainActor @preconcurrency public protocol Scene {}

public struct WindowGroup<Content: View>: Scene {
  public init(@ViewBuilder content: () -> Content) {}
}

@resultBuilder public enum SceneBuilder {
  public static func buildBlock<Content: Scene>(_ content: Content) -> Content { content }
}

@MainActor @preconcurrency public protocol App {
  associatedtype Body: Scene
  @SceneBuilder var body: Body { get }
  init()
}

extension App {
  public static func main() {}
}

// MARK: State

@propertyWrapper public struct State<Value> {
  public init(wrappedValue: Value) { fatalError() }
  public var wrappedValue: Value {
    get { fatalError() }
    nonmutating set {}
  }
  public var projectedValue: Binding<Value> { fatalError() }
}

extension State where Value: ExpressibleByNilLiteral {
  public init() { fatalError() }
}

@propertyWrapper public struct Binding<Value> {
  public init(
    get: @escaping @MainActor () -> Value, set: @escaping @MainActor (Value) -> Void
  ) {}
  public var wrappedValue: Value {
    get { fatalError() }
    nonmutating set {}
  }
  public var projectedValue: Binding<Value> { self }
  public static func constant(_ value: Value) -> Binding<Value> { fatalError() }
}

@propertyWrapper public struct Environment<Value> {
  public init(_ path: KeyPath<EnvironmentValues, Value>) {}
  public var wrappedValue: Value { fatalError() }
}

public struct EnvironmentValues {
  public var dismiss: DismissAction { fatalError() }
  public var horizontalSizeClass: UserInterfaceSizeClass? { nil }
  public var verticalSizeClass: UserInterfaceSizeClass? { nil }
}

public enum UserInterfaceSizeClass: Sendable { case compact, regular }

@MainActor public struct DismissAction {
  public func callAsFunction() {}
}

// MARK: Views

/// A text to be looked up in the catalog; what is put into it becomes a placeholder there.
public struct LocalizedStringKey: ExpressibleByStringInterpolation, Equatable {
  public init(stringLiteral value: String) {}
  public init(stringInterpolation: StringInterpolation) {}
  public struct StringInterpolation: StringInterpolationProtocol {
    public init(literalCapacity: Int, interpolationCount: Int) {}
    public mutating func appendLiteral(_ literal: String) {}
    public mutating func appendInterpolation(_ text: String) {}
    public mutating func appendInterpolation(_ number: Int) {}
  }
}

extension String {
  public init(localized key: String) { self = key }
}

public struct Text: Leaf {
  public init(_ key: LocalizedStringKey) {}
  @_disfavoredOverload public init<Content: StringProtocol>(_ content: Content) {}
  public func monospacedDigit() -> Text { self }
  public func font(_ font: Font?) -> Text { self }
  public func foregroundStyle<Style: ShapeStyle>(_ style: Style) -> Text { self }
}

public struct Image: Leaf {
  public enum Orientation { case up, down, left, right }
  public init(systemName: String) {}
  public init(decorative cgImage: CGImage, scale: CGFloat, orientation: Orientation = .up) {}
  public func resizable() -> Image { self }
}

public struct Spacer: Leaf {
  public init() {}
}

public struct Label<Title: View, Icon: View>: Leaf {
  public init(@ViewBuilder title: () -> Title, @ViewBuilder icon: () -> Icon) {}
}

extension Label where Title == Text, Icon == Image {
  public init(_ title: LocalizedStringKey, systemImage: String) {}
  @_disfavoredOverload public init<Content: StringProtocol>(_ title: Content, systemImage: String) {
  }
}

public struct Button<Content: View>: Leaf {
  public init(action: @escaping @MainActor () -> Void, @ViewBuilder label: () -> Content) {}
}

extension Button where Content == Text {
  public init(_ title: LocalizedStringKey, action: @escaping @MainActor () -> Void) {}
  @_disfavoredOverload public init<Title: StringProtocol>(
    _ title: Title, action: @escaping @MainActor () -> Void
  ) {}
}

public struct HStack<Content: View>: Leaf {
  public init(@ViewBuilder content: () -> Content) {}
}

public struct HStackLayout {
  public init() {}
}

public struct VStackLayout {
  public init() {}
}

/// One of several layouts, with the same views in it.
public struct AnyLayout {
  public init(_ layout: HStackLayout) {}
  public init(_ layout: VStackLayout) {}
  @MainActor public func callAsFunction<Content: View>(@ViewBuilder _ content: () -> Content)
    -> some View
  { content() }
}

public struct ViewThatFits<Content: View>: Leaf {
  public init(in axes: Axis.Set = .all, @ViewBuilder content: () -> Content) {}
}

public struct ScrollView<Content: View>: Leaf {
  public init(@ViewBuilder content: () -> Content) {}
}

public enum Axis {
  public struct Set: OptionSet, Sendable {
    public let rawValue: Int8
    public init(rawValue: Int8) { self.rawValue = rawValue }
    public static let horizontal = Set(rawValue: 1)
    public static let vertical = Set(rawValue: 2)
    public static let all = Set(rawValue: 3)
  }
}

public struct Alignment {
  public static let center = Alignment()
}

public enum HorizontalAlignment { case leading, center, trailing }

public struct VStack<Content: View>: Leaf {
  public init(
    alignment: HorizontalAlignment = .center, @ViewBuilder content: () -> Content
  ) {}
}

public struct ZStack<Content: View>: Leaf {
  public init(@ViewBuilder content: () -> Content) {}
}

public struct Rectangle: Leaf {
  public init() {}
  public func fill<Style: ShapeStyle>(_ style: Style) -> some View { self }
}

public struct List<Content: View>: Leaf {
  public init(@ViewBuilder content: () -> Content) {}
}

public struct Section<Content: View>: Leaf {
  public init(_ title: LocalizedStringKey, @ViewBuilder content: () -> Content) {}
  public init(@ViewBuilder content: () -> Content) {}
  @_disfavoredOverload public init<Title: StringProtocol>(
    _ title: Title, @ViewBuilder content: () -> Content
  ) {}
}

public struct NavigationStack<Content: View>: Leaf {
  public init(@ViewBuilder root: () -> Content) {}
}

public struct ForEach<Data: RandomAccessCollection, ID: Hashable, Content: View>: Leaf {
  public init(
    _ data: Data, id: KeyPath<Data.Element, ID>,
    @ViewBuilder content: @escaping (Data.Element) -> Content
  ) {}
}

extension ForEach where Data.Element: Identifiable, ID == Data.Element.ID {
  public init(_ data: Data, @ViewBuilder content: @escaping (Data.Element) -> Content) {}
}

public struct Picker<Title: View, Selection: Hashable, Content: View>: Leaf {}

extension Picker where Title == Text {
  public init(
    _ title: LocalizedStringKey, selection: Binding<Selection>, @ViewBuilder content: () -> Content
  ) {}
  @_disfavoredOverload public init<Name: StringProtocol>(
    _ title: Name, selection: Binding<Selection>, @ViewBuilder content: () -> Content
  ) {}
}

public struct ProgressView<Title: View>: Leaf {}

extension ProgressView where Title == EmptyView {
  public init() {}
  public init<Value: BinaryFloatingPoint>(value: Value?, total: Value = 1.0) {}
}

extension ProgressView {
  public init<Value: BinaryFloatingPoint>(
    value: Value?, total: Value = 1.0, @ViewBuilder label: () -> Title
  ) {}
}

public struct LabeledContent<Title: View, Content: View>: Leaf {}

extension LabeledContent where Title == Text, Content == Text {
  @_disfavoredOverload public init<Name: StringProtocol, Value: StringProtocol>(
    _ title: Name, value: Value
  ) {}
  public init<Value: StringProtocol>(_ title: LocalizedStringKey, value: Value) {}
}

public struct ContentUnavailableView: Leaf {
  public init(_ title: LocalizedStringKey, systemImage: String, description: Text?) {}
  @_disfavoredOverload public init<Title: StringProtocol>(
    _ title: Title, systemImage: String, description: Text?
  ) {}
}

public struct Slider<Title: View>: Leaf {
  public init<Value: BinaryFloatingPoint>(
    value: Binding<Value>, in bounds: ClosedRange<Value> = 0...1, @ViewBuilder label: () -> Title,
    onEditingChanged: @escaping (Bool) -> Void = { _ in }
  ) where Value.Stride: BinaryFloatingPoint {}
}

// MARK: Drawing

public struct Path {
  public init(_ rect: CGRect) {}
  public init(ellipseIn rect: CGRect) {}
}

public struct FillStyle {
  public init() {}
}

public struct GraphicsContext {
  public struct Shading {
    public static func color(_ color: Color) -> Shading { Shading() }
  }
  public struct ResolvedText {
    public func measure(in size: CGSize) -> CGSize { size }
  }
  public func stroke(_ path: Path, with shading: Shading, lineWidth: CGFloat = 1) {}
  public func fill(_ path: Path, with shading: Shading, style: FillStyle = FillStyle()) {}
  public func resolve(_ text: Text) -> ResolvedText { ResolvedText() }
  public func draw(_ text: ResolvedText, in rect: CGRect) {}
}

public enum ColorRenderingMode { case nonLinear, linear, extendedLinear }

public struct Canvas: Leaf {
  public init(
    opaque: Bool = false, colorMode: ColorRenderingMode = .nonLinear,
    rendersAsynchronously: Bool = false,
    renderer: @escaping (inout GraphicsContext, CGSize) -> Void
  ) {}
}

// MARK: Styles

public protocol ShapeStyle: Sendable {}
public struct Color: ShapeStyle, Leaf {
  public enum RGBColorSpace: Sendable { case sRGB, sRGBLinear, displayP3 }
  init() {}
  public init(
    _ colorSpace: RGBColorSpace = .sRGB, red: Double, green: Double, blue: Double,
    opacity: Double = 1
  ) {}
  public static let green = Color()
  public static let red = Color()
}
extension ShapeStyle where Self == Color {
  public static var black: Color { Color() }
}
public struct HierarchicalShapeStyle: ShapeStyle {}
extension ShapeStyle where Self == HierarchicalShapeStyle {
  public static var secondary: HierarchicalShapeStyle { HierarchicalShapeStyle() }
}

public struct BackgroundStyle: ShapeStyle {}
extension ShapeStyle where Self == BackgroundStyle {
  public static var background: BackgroundStyle { BackgroundStyle() }
}

public struct Font: Sendable {
  public static let footnote = Font()
  public static let caption = Font()
  public static let largeTitle = Font()
  public static let headline = Font()
}

public struct Edge {
  public struct Set: OptionSet, Sendable {
    public let rawValue: Int8
    public init(rawValue: Int8) { self.rawValue = rawValue }
    public static let top = Set(rawValue: 1)
    public static let all = Set(rawValue: 15)
  }
}

// MARK: Modifiers

extension View {
  public func font(_ font: Font?) -> some View { self }
  public func foregroundStyle<Style: ShapeStyle>(_ style: Style) -> some View { self }
  public func padding(_ length: CGFloat? = nil) -> some View { self }
  public func frame(maxWidth: CGFloat? = nil, maxHeight: CGFloat? = nil) -> some View { self }
  public func scaledToFit() -> some View { self }
  public func overlay<Content: View>(
    alignment: Alignment = .center, @ViewBuilder content: () -> Content
  ) -> some View { self }
  public func ignoresSafeArea(edges: Edge.Set = .all) -> some View { self }
  public func disabled(_ disabled: Bool) -> some View { self }
  public func tag<Value: Hashable>(_ tag: Value) -> some View { self }
  public func navigationTitle(_ key: LocalizedStringKey) -> some View { self }
  @_disfavoredOverload public func navigationTitle<Title: StringProtocol>(_ title: Title)
    -> some View
  { self }
  public func toolbar<Content: ToolbarContent>(@ToolbarContentBuilder content: () -> Content)
    -> some View
  { self }
  public func task(_ action: sending @escaping @MainActor () async -> Void) -> some View { self }
  public func task<ID: Equatable>(
    id: ID, _ action: sending @escaping @MainActor () async -> Void
  ) -> some View { self }
  public func onChange<Value: Equatable>(of value: Value, _ action: @escaping () -> Void)
    -> some View
  { self }
  public func onOpenURL(perform action: @escaping (URL) -> Void) -> some View { self }
  public func fileImporter(
    isPresented: Binding<Bool>, allowedContentTypes: [UTType],
    onCompletion: @escaping (Result<URL, any Error>) -> Void
  ) -> some View { self }
  public func fullScreenCover<Content: View>(
    isPresented: Binding<Bool>, @ViewBuilder content: @escaping () -> Content
  ) -> some View { self }
}

// MARK: Toolbar

@MainActor @preconcurrency public protocol ToolbarContent {}
public struct ToolbarItemPlacement {
  public static let bottomBar = ToolbarItemPlacement()
}
public struct ToolbarItemGroup<Content: View>: ToolbarContent {
  public init(placement: ToolbarItemPlacement, @ViewBuilder content: () -> Content) {}
}
@resultBuilder public enum ToolbarContentBuilder {
  public static func buildBlock<Content: ToolbarContent>(_ content: Content) -> Content { content }
}

// MARK: Accessibility

public struct AccessibilityTraits: Sendable {
  public static let isHeader = AccessibilityTraits()
}

public struct AccessibilityChildBehavior {
  public static let ignore = AccessibilityChildBehavior()
  public static let combine = AccessibilityChildBehavior()
}

extension View {
  public func accessibilityElement(children: AccessibilityChildBehavior) -> some View { self }
  public func accessibilityLabel(_ key: LocalizedStringKey) -> some View { self }
  public func accessibilityLabel(_ label: Text) -> some View { self }
  @_disfavoredOverload public func accessibilityLabel<Text: StringProtocol>(_ label: Text)
    -> some View
  { self }
  public func accessibilityValue<Text: StringProtocol>(_ value: Text) -> some View { self }
  public func accessibilityAddTraits(_ traits: AccessibilityTraits) -> some View { self }
  public func accessibilityHidden(_ hidden: Bool) -> some View { self }
  public func accessibilityHint(_ key: LocalizedStringKey) -> some View { self }
  @_disfavoredOverload public func accessibilityHint<Text: StringProtocol>(_ hint: Text)
    -> some View
  { self }
}

public enum AccessibilityNotification {
  public struct Announcement {
    public init(_ text: String) {}
    public func post() {}
  }
}

// MARK: Sharing

public protocol Transferable {
  associatedtype Representation: TransferRepresentation
  @TransferRepresentationBuilder<Self> static var transferRepresentation: Representation { get }
}

public protocol TransferRepresentation<Item>: Sendable {
  associatedtype Item: Transferable
}

public struct DataRepresentation<Item: Transferable>: TransferRepresentation {
  public init(
    exportedContentType: UTType, exporting: @escaping @Sendable (Item) async throws -> Data
  ) {}
}

extension TransferRepresentation {
  public func suggestedFileName(_ name: String) -> some TransferRepresentation<Item> { self }
}

@resultBuilder public struct TransferRepresentationBuilder<Item: Transferable> {
  public static func buildBlock<Content: TransferRepresentation>(_ content: Content) -> Content
  where Content.Item == Item { content }
  public static func buildExpression<Content: TransferRepresentation>(_ content: Content)
    -> Content
  where Content.Item == Item { content }
}

extension Data: Transferable {
  public static var transferRepresentation: DataRepresentation<Data> {
    DataRepresentation(exportedContentType: .json) { $0 }
  }
}

public struct SharePreview {
  public init(_ title: LocalizedStringKey) {}
  @_disfavoredOverload public init<Title: StringProtocol>(_ title: Title) {}
}

public struct ShareLink<Item: Transferable, Content: View>: Leaf {
  public init(item: Item, preview: SharePreview, @ViewBuilder label: () -> Content) {}
}

// Foundation's on Apple's systems.
extension URL {
  public func startAccessingSecurityScopedResource() -> Bool { true }
  public func stopAccessingSecurityScopedResource() {}
}

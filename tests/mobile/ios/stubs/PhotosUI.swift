@_exported import SwiftUI

public struct PhotosPickerItem: Equatable, Sendable {
  public func loadTransferable<Item: Transferable>(type: Item.Type) async throws -> Item? { nil }
}

public struct PHPickerFilter {
  public static let images = PHPickerFilter()
}

public struct PhotosPicker<Content: View>: Leaf {
  public init(
    selection: Binding<PhotosPickerItem?>, matching: PHPickerFilter? = nil,
    @ViewBuilder label: () -> Content
  ) {}
}

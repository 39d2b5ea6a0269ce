import Foundation
import Testing

@testable import LiteClassifier

private struct GeometryFile: Decodable {
  struct Vector: Decodable {
    let geometry: Geometry
    let photos: [Placed]
  }

  struct Placed: Decodable {
    let height: Int
    let width: Int
    let resizedHeight: Int
    let resizedWidth: Int
    let top: Int
    let left: Int
    let networkHeight: Int
    let networkWidth: Int
    let seen: [Double]
    let points: [Points]
    let boxes: [Boxes]
    let cells: [Cell]
    let middles: [Middle]

    enum CodingKeys: String, CodingKey {
      case height, width, top, left, seen, points, boxes, cells, middles
      case resizedHeight = "resized_height"
      case resizedWidth = "resized_width"
      case networkHeight = "network_height"
      case networkWidth = "network_width"
    }
  }

  struct Points: Decodable {
    let network: [Double]
    let photo: [Double]
    let back: [Double]
  }

  struct Boxes: Decodable {
    let network: [Double]
    let photo: [Double]
  }

  struct Cell: Decodable {
    let x: Int
    let y: Int
    let rows: Int
    let columns: Int
    let cell: [Int]?
  }

  struct Middle: Decodable {
    let row: Int
    let column: Int
    let rows: Int
    let columns: Int
    let photo: [Double]
  }

  let geometries: [Vector]
}

@Suite struct GeometryTests {
  private func sides(_ box: Box) -> [Double] { [box.left, box.top, box.right, box.bottom] }

  private func box(_ sides: [Double]) -> Box {
    Box(left: sides[0], top: sides[1], right: sides[2], bottom: sides[3])
  }

  /// Bit by bit: the steps are Python's, in the same order.
  @Test func photosLieWherePythonPlacesThem() throws {
    let file = try JSONDecoder().decode(GeometryFile.self, from: Fixtures.data("geometry.json"))
    #expect(file.geometries.count >= 10)
    #expect(Set(file.geometries.map(\.geometry.resize)).count == 3)
    #expect(Set(file.geometries.map(\.geometry.rounding)).count == 2)
    for vector in file.geometries {
      #expect(vector.photos.count >= 8)
      for wanted in vector.photos {
        let placed = vector.geometry.place(height: wanted.height, width: wanted.width)
        let photo = "\(vector.geometry), \(wanted.height) x \(wanted.width)"
        #expect(
          placed
            == Placement(
              height: wanted.height, width: wanted.width, resizedHeight: wanted.resizedHeight,
              resizedWidth: wanted.resizedWidth, top: wanted.top, left: wanted.left,
              networkHeight: wanted.networkHeight, networkWidth: wanted.networkWidth),
          "\(photo)")
        #expect(sides(placed.seen) == wanted.seen, "\(photo)")
        check(placed, wanted, photo)
      }
    }
  }

  private func check(_ placed: Placement, _ wanted: GeometryFile.Placed, _ photo: String) {
    for point in wanted.points {
      let onPhoto = placed.toPhoto(x: point.network[0], y: point.network[1])
      #expect([onPhoto.x, onPhoto.y] == point.photo, "\(photo)")
      let back = placed.toNetwork(x: point.photo[0], y: point.photo[1])
      #expect([back.x, back.y] == point.back, "\(photo)")
    }
    for pair in wanted.boxes {
      #expect(sides(placed.boxToPhoto(box(pair.network))) == pair.photo, "\(photo)")
    }
    for cell in wanted.cells {
      let found = placed.cellOf(x: cell.x, y: cell.y, rows: cell.rows, columns: cell.columns)
      #expect(found.map { [$0.row, $0.column] } == cell.cell, "\(photo)")
    }
    for middle in wanted.middles {
      let found = placed.middleOf(
        row: middle.row, column: middle.column, rows: middle.rows, columns: middle.columns)
      #expect([found.x, found.y] == middle.photo, "\(photo)")
    }
  }

  @Test func aBoxIsScaledToTheScreen() {
    let box = Box(left: 1, top: 2, right: 3, bottom: 4)
    #expect(box.scaled(x: 0.5, y: 3) == Box(left: 0.5, top: 6, right: 1.5, bottom: 12))
  }

  @Test(arguments: ["resize_height", "network_width"])
  func aSideThatIsNoneIsRefused(key: String) throws {
    for side in [0, -3, 65_537] {
      var json: [String: Any] = [
        "resize": "stretch", "resize_height": 4, "resize_width": 4, "network_height": 4,
        "network_width": 4, "rounding": "even",
      ]
      json[key] = side
      let data = try JSONSerialization.data(withJSONObject: json)
      #expect(throws: DecodingError.self) { try JSONDecoder().decode(Geometry.self, from: data) }
    }
  }
}

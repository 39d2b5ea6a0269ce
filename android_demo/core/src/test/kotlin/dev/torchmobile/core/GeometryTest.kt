package dev.torchmobile.core

import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test

/** `tests/golden/geometry.json`, which Python's `Geometry` made; equal to the bit. */
class GeometryTest {
    private fun numbers(node: JsonNode) = node.list().map(JsonNode::double)

    private fun Place.list() = listOf(x, y)

    private fun Box.list() = listOf(left, top, right, bottom)

    private fun each(check: (Placement, JsonNode) -> Unit): Int {
        var seen = 0
        for (one in Fixtures.read("geometry.json").field("geometries").list()) {
            val geometry = geometry(one.field("geometry"))
            for (photo in one.field("photos").list()) {
                check(geometry.place(photo.field("height").int(), photo.field("width").int()), photo)
                seen++
            }
        }
        return seen
    }

    @Test
    fun `photos are placed where Python places them`() {
        val seen =
            each { placed, photo ->
                val stated =
                    Placement(
                        photo.field("height").int(),
                        photo.field("width").int(),
                        photo.field("resized_height").int(),
                        photo.field("resized_width").int(),
                        photo.field("top").int(),
                        photo.field("left").int(),
                        photo.field("network_height").int(),
                        photo.field("network_width").int(),
                    )
                assertEquals(stated, placed)
                assertEquals(numbers(photo.field("seen")), placed.seen.list())
            }
        assertTrue("$seen", seen > 90)
    }

    @Test
    fun `points and boxes go there and back`() {
        each { placed, photo ->
            for (point in photo.field("points").list()) {
                val (x, y) = numbers(point.field("network"))
                val there = placed.toPhoto(x, y)
                assertEquals(numbers(point.field("photo")), there.list())
                assertEquals(numbers(point.field("back")), placed.toNetwork(there.x, there.y).list())
            }
            for (box in photo.field("boxes").list()) {
                val (left, top, right, bottom) = numbers(box.field("network"))
                assertEquals(numbers(box.field("photo")), placed.boxToPhoto(Box(left, top, right, bottom)).list())
            }
        }
    }

    @Test
    fun `cells lie below the pixels that Python says`() {
        var unseen = 0
        each { placed, photo ->
            for (cell in photo.field("cells").list()) {
                val found =
                    placed.cellOf(
                        cell.field("x").int(),
                        cell.field("y").int(),
                        cell.field("rows").int(),
                        cell.field("columns").int(),
                    )
                if (found == null) unseen++
                assertEquals(cell.optional("cell")?.list()?.map(JsonNode::int), found?.let { listOf(it.row, it.column) })
            }
            for (middle in photo.field("middles").list()) {
                val row = middle.field("row").int()
                val column = middle.field("column").int()
                val place = placed.middleOf(row, column, middle.field("rows").int(), middle.field("columns").int())
                assertEquals(numbers(middle.field("photo")), place.list())
            }
        }
        assertTrue("$unseen", unseen > 20)
    }
}

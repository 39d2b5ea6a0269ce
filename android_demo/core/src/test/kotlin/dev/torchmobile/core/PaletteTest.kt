package dev.torchmobile.core

import org.junit.Assert.assertEquals
import org.junit.Test

/** `tests/golden/palette.json`: colors as Python's colorsys has them. */
class PaletteTest {
    private val palette = Fixtures.read("palette.json")

    private fun argb(node: JsonNode): Int = node.list().fold(0xFF) { color, level -> (color shl 8) or level.int() }

    @Test
    fun `classes have their colors`() {
        for (one in palette.field("classes").list()) {
            val index = one.field("index").int()
            assertEquals("class $index", argb(one.field("rgb")), classColor(index))
        }
        // By hand: hue 0, so red is the value, 0.95, and the others 0.95 x 0.35 = 0.3325 of it.
        assertEquals(0xFFF25555.toInt(), classColor(0))
    }

    @Test
    fun `depths go from blue to red`() {
        for (one in palette.field("depths").list()) {
            assertEquals(argb(one.field("rgb")), depthColor(one.field("share").double()))
        }
    }

    @Test
    fun `a mask lets half of the photo through`() {
        for (one in palette.field("masks").list()) {
            assertEquals(argb(one.field("seen")), halfOver(argb(one.field("color")), argb(one.field("photo"))))
        }
        assertEquals(0xFF800100.toInt(), halfOver(0xFFFF0000.toInt(), 0xFF000100.toInt()))
    }
}

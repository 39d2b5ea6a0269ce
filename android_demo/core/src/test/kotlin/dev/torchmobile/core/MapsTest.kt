package dev.torchmobile.core

import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNull
import org.junit.Assert.assertTrue
import org.junit.Test

private val GRAY = 0xFF646464.toInt()

/** Maps over photos, worked out by hand. */
class MapsTest {
    private fun output(
        values: List<Number>,
        shape: List<Long>,
        axes: List<String>,
        holds: Holds,
        space: Space? = Space.NETWORK,
    ): Output {
        val value = TensorValue.of(FloatArray(values.size) { values[it].toFloat() }, shape)
        return Output(OutputTensor("out", shape, Dtype.FLOAT32, axes, holds, space = space), value)
    }

    /** A photo of one gray, 100. */
    private fun photo(
        height: Int,
        width: Int,
    ) = RgbImage(height, width, ByteArray(3 * height * width) { 100 })

    /** The network sees the middle 2 x 2 pixels of a photo of 2 x 4. */
    private val middle = Geometry(Resize.COVER, 2, 2, 2, 2, Rounding.DOWN).place(2, 4)

    // Three classes, two rows, two columns; the best are 0 1 / 2 0, the last by a tie.
    private val scores = listOf(9, 1, 0, 5, 1, 8, 0, 5, 0, 2, 7, 0)

    @Test
    fun `the best class of each pixel is found along the class axis`() {
        val names = listOf("background", "cat", "dog")
        for ((shape, axes) in listOf(
            listOf(3L, 2L, 2L) to listOf("C", "H", "W"),
            listOf(1L, 3L, 2L, 2L) to listOf("N", "C", "H", "W"),
        )) {
            val map = classMap(output(scores, shape, axes, Holds.SCORES), names)!!
            assertArrayEquals(intArrayOf(0, 1, 2, 0), map.classes)
            assertEquals(listOf(2, 2), listOf(map.rows, map.columns))
        }
        // The same numbers with the classes innermost.
        val inside = (0 until 4).flatMap { pixel -> (0 until 3).map { scores[4 * it + pixel] } }
        val map = classMap(output(inside, listOf(2, 2, 3), listOf("H", "W", "C"), Holds.LOGITS), names)!!
        assertArrayEquals(intArrayOf(0, 1, 2, 0), map.classes)
    }

    @Test
    fun `NaN is never the best class`() {
        val nan = Float.NaN
        val map = classMap(output(listOf(nan, nan, 1, nan), listOf(2, 1, 2), listOf("C", "H", "W"), Holds.SCORES), null)!!
        assertArrayEquals(intArrayOf(1, 0), map.classes)
    }

    @Test
    fun `a class map holds its classes, a mask and a single class where it is`() {
        val axes = listOf("H", "W")
        assertArrayEquals(intArrayOf(7, 0), classMap(output(listOf(7, 0), listOf(1, 2), axes, Holds.CLASS_MAP), null)!!.classes)
        val mask = classMap(output(listOf(1, 0), listOf(1, 2), axes, Holds.MASK), null)!!
        assertArrayEquals(intArrayOf(1, 0), mask.classes)
        assertEquals(listOf("background", "mask"), listOf(0, 1).map(mask::label))
        assertTrue(mask.isClear(0))
        val two = classMap(output(listOf(1, 0), listOf(1, 2), axes, Holds.MASK), listOf("rest", "cat"))!!
        assertEquals(listOf("rest", "cat"), listOf(0, 1).map(two::label))
        assertFalse(two.isClear(0))
        val channels = listOf("C", "H", "W")
        val sure = classMap(output(listOf(0.6, 0.4), listOf(1, 1, 2), channels, Holds.PROBABILITIES), listOf("road"))!!
        assertArrayEquals(intArrayOf(1, 0), sure.classes)
        assertEquals("road", sure.label(1))
        val logits = classMap(output(listOf(0.4, -0.1), listOf(1, 1, 2), channels, Holds.LOGITS), null)!!
        assertArrayEquals(intArrayOf(1, 0), logits.classes)
    }

    @Test
    fun `what is no map, or lies nowhere, is none`() {
        assertNull(classMap(output(listOf(1, 2), listOf(1, 2), listOf("H", "W"), Holds.VALUES), null))
        assertNull(classMap(output(listOf(1, 2), listOf(1, 2), listOf("N", "C"), Holds.SCORES), null))
        assertNull(classMap(output(listOf(1, 2), listOf(1, 2), listOf("H", "W"), Holds.CLASS_MAP, space = null), null))
        // Two samples: of which one would it be?
        val two = output(listOf(1, 2), listOf(2, 1, 1), listOf("N", "H", "W"), Holds.CLASS_MAP)
        assertNull(classMap(two, null))
    }

    @Test
    fun `classes lie over what the network sees of the photo, half transparent`() {
        val map = classMap(output(scores, listOf(3, 2, 2), listOf("C", "H", "W"), Holds.SCORES), listOf("background", "cat", "dog"))!!
        val (picture, legend) = drawClasses(photo(2, 4), map, middle)
        val cat = halfOver(classColor(1), GRAY)
        val dog = halfOver(classColor(2), GRAY)
        // The background lets the photo through, and so does what was cropped.
        assertArrayEquals(intArrayOf(GRAY, GRAY, cat, GRAY, GRAY, dog, GRAY, GRAY), picture.argb)
        assertEquals(listOf("background", "cat", "dog"), legend.map { it.label })
        assertEquals(listOf(0.5, 0.25, 0.25), legend.map { it.share })
        assertEquals(listOf(null, classColor(1), classColor(2)), legend.map { it.color })
    }

    @Test
    fun `what is no class is not drawn and not named, and labels of another output name nothing`() {
        val map = output(listOf(7, Float.NaN, -1, 0), listOf(2, 2), listOf("H", "W"), Holds.CLASS_MAP)
        val (picture, legend) = drawClasses(photo(2, 4), classMap(map, listOf("background"))!!, middle)
        assertEquals(listOf("background" to 0.25, "class 7" to 0.25), legend.map { it.label to it.share })
        assertEquals(1, picture.argb.count { it != GRAY })
        val two = output(listOf(0, 1), listOf(2, 1, 1), listOf("C", "H", "W"), Holds.SCORES)
        assertEquals("class 1", classMap(two, listOf("a", "b", "c"))!!.label(1))
    }

    @Test
    fun `what the network does not see of a photo has no class and no share`() {
        val map = classMap(output(listOf(255, 1, 2, 255), listOf(1, 4), listOf("H", "W"), Holds.CLASS_MAP, Space.PHOTO), null)!!
        val wide = Geometry(Resize.COVER, 1, 1, 1, 1, Rounding.DOWN).place(1, 4)
        val (picture, legend) = drawClasses(photo(1, 4), map, wide)
        assertEquals(listOf("class 1", "class 2"), legend.map { it.label })
        assertEquals(listOf(0.5, 0.5), legend.map { it.share })
        assertEquals(listOf(GRAY, GRAY), listOf(picture.argb[0], picture.argb[3]))
        // Over the network's own picture 255 is a class like any other.
        val inside = classMap(output(listOf(255, 1), listOf(1, 2), listOf("H", "W"), Holds.CLASS_MAP), null)!!
        assertArrayEquals(intArrayOf(255, 1), inside.classes)
    }

    @Test
    fun `class 0 is drawn where it is no background`() {
        for ((labels, drawn) in listOf(
            listOf("road", "cat", "dog") to true,
            null to true,
            listOf("__background__", "cat", "dog") to false,
        )) {
            val map = classMap(output(listOf(0), listOf(1, 1), listOf("H", "W"), Holds.CLASS_MAP, Space.PHOTO), labels)!!
            val (picture, _) = drawClasses(photo(1, 1), map, Geometry(Resize.STRETCH, 1, 1, 1, 1, Rounding.EVEN).place(1, 1))
            assertEquals(drawn, picture.argb[0] != GRAY)
        }
    }

    @Test
    fun `a map of the photo covers it, a small one of the network what that sees`() {
        val map = output(listOf(0, 1), listOf(1, 2), listOf("H", "W"), Holds.CLASS_MAP, Space.PHOTO)
        val (whole, _) = drawClasses(photo(1, 4), classMap(map, null)!!, Geometry(Resize.COVER, 2, 2, 2, 2, Rounding.DOWN).place(1, 4))
        val (first, second) = listOf(0, 1).map { halfOver(classColor(it), GRAY) }
        assertArrayEquals(intArrayOf(first, first, second, second), whole.argb)
        // Of three columns the middle one holds the middle of the second pixel of three quarters.
        val three = output(listOf(0, 1, 2), listOf(1, 3), listOf("H", "W"), Holds.CLASS_MAP, Space.PHOTO)
        val (odd, _) = drawClasses(photo(1, 4), classMap(three, null)!!, Geometry(Resize.COVER, 2, 2, 2, 2, Rounding.DOWN).place(1, 4))
        assertArrayEquals(intArrayOf(0, 1, 1, 2).map { halfOver(classColor(it), GRAY) }.toIntArray(), odd.argb)
        val small = output(listOf(5), listOf(1, 1), listOf("H", "W"), Holds.CLASS_MAP)
        val (part, _) = drawClasses(photo(2, 4), classMap(small, null)!!, middle)
        assertEquals(listOf(false, true, true, false), part.argb.take(4).map { it != GRAY })
    }

    @Test
    fun `depths run from blue to red, and what is not finite shows the photo`() {
        val depths = output(listOf(2.0, 4.0, 3.0, Float.NaN), listOf(1, 2, 2), listOf("C", "H", "W"), Holds.DEPTH)
        val picture = drawDepth(photo(2, 4), depths, middle)!!
        val (near, far, between) = listOf(0.0, 1.0, 0.5).map(::depthColor)
        assertArrayEquals(intArrayOf(GRAY, near, far, GRAY, GRAY, between, GRAY, GRAY), picture.argb)
        assertNull(drawDepth(photo(2, 4), output(listOf(Float.NaN), listOf(1, 1), listOf("H", "W"), Holds.DEPTH), middle))
        assertNull(drawDepth(photo(2, 4), output(listOf(1), listOf(1), listOf("features"), Holds.DEPTH), middle))
        // One depth everywhere is no range to divide by.
        val flat = drawDepth(photo(2, 4), output(listOf(3), listOf(1, 1), listOf("H", "W"), Holds.DEPTH), middle)!!
        assertFalse(flat.argb.all { it == GRAY })
    }
}

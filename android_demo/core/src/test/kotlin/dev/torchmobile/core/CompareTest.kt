package dev.torchmobile.core

import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertTrue
import org.junit.Test

/** What the shared vectors do not hold: pixels that may take another class, and numbers beyond 2^53. */
class CompareTest {
    private val quarter = Tolerance(0.0, 0.0, "a quarter of the pixels", flips = 0.25)

    private fun bytes(vararg values: Int) =
        TensorValue(Dtype.UINT8, listOf(values.size.toLong()), ByteArray(values.size) { values[it].toByte() })

    private fun whole(tensor: TensorValue) = Expected(tensor.shape, tensor)

    private fun passes(
        expected: Expected,
        actual: TensorValue,
        tolerance: Tolerance,
    ) = compare(listOf(expected), listOf(actual), tolerance, null).passes

    @Test
    fun `a share of a map's pixels may take another class, whichever it is`() {
        val map = whole(bytes(1, 2, 3, 4))
        assertTrue(passes(map, bytes(1, 200, 3, 4), quarter))
        assertFalse(passes(map, bytes(1, 200, 3, 5), quarter))
        assertFalse(passes(map, bytes(1, 3, 3, 4), quarter.copy(flips = 0.0)))
        assertFalse(passes(map, bytes(1, 3, 3, 4), quarter.copy(flips = 0.2)))
    }

    @Test
    fun `the share of one output excuses no other, and no floats`() {
        val floats = TensorValue.of(floatArrayOf(1f, 2f, 3f, 4f), listOf(4))
        val off = TensorValue.of(floatArrayOf(1f, 2f, 3f, 5f), listOf(4))
        assertFalse(passes(whole(floats), off, quarter))
        val two = listOf(whole(bytes(1, 2, 3, 4)), whole(floats))
        assertTrue(compare(two, listOf(bytes(0, 2, 3, 4), floats), quarter, null).passes)
        assertEquals(Problem.VALUES, compare(two, listOf(bytes(0, 2, 3, 4), off), quarter, null).problem)
    }

    @Test
    fun `of a sampled map the places held count`() {
        val held = Expected(listOf(8), bytes(1, 1, 1, 1), start = 1, stride = 2, figures = Figures(1.0, 1.0, 1.0))
        assertTrue(passes(held, bytes(1, 9, 1, 1, 1, 1, 1, 1), quarter))
        // Two at least, whatever the share; the mean moves by a quarter of the span, and no further.
        assertTrue(passes(held, bytes(1, 9, 1, 9, 1, 1, 1, 1), quarter))
        assertFalse(passes(held, bytes(1, 9, 1, 9, 1, 9, 1, 1), quarter))
        assertFalse(passes(held, bytes(9, 9, 1, 9, 1, 1, 1, 1), quarter))
        // Where nothing may flip, the mean tells of a place that is not held.
        assertFalse(passes(held, bytes(9, 1, 1, 1, 1, 1, 1, 1), quarter.copy(flips = 0.0)))
    }

    @Test
    fun `whole numbers that share their float64 are told apart`() {
        fun long(last: Int) = TensorValue(Dtype.INT64, listOf(1), byteArrayOf(last.toByte(), 0, 0, 0, 0, 0, 0, 0x40))
        assertEquals(long(0).double(0), long(1).double(0), 0.0)
        assertFalse(passes(whole(long(0)), long(1), Tolerance(0.5, 0.0, "half")))
        assertTrue(passes(whole(long(1)), long(1), Tolerance(0.5, 0.0, "half")))
    }

    @Test
    fun `the metadata's share is read`() {
        val text = """{"t": {"atol": 0, "rtol": 0, "basis": "b", "flips": 0.01}}"""
        assertEquals(0.01, tolerance(JsonNode.parse(text).field("t")).flips, 0.0)
    }
}

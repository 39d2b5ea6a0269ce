package dev.torchmobile.core

import org.junit.Assert.assertEquals
import org.junit.Assert.assertNull
import org.junit.Assert.assertTrue
import org.junit.Test

/** `tests/golden/drawn.json`: key points and pictures as Python's report draws them. */
class DrawnTest {
    private val vectors = Fixtures.read("drawn.json")

    private fun number(node: JsonNode): Double = runCatching { node.double() }.getOrElse { node.string().toDouble() }

    private fun output(vector: JsonNode): Output {
        val spec = outputTensor(vector.field("output"))
        val values = vector.field("values").list().map(::number)
        val tensor =
            if (spec.dtype == Dtype.UINT8) {
                TensorValue(Dtype.UINT8, spec.shape, ByteArray(values.size) { values[it].toInt().toByte() })
            } else {
                TensorValue.of(FloatArray(values.size) { values[it].toFloat() }, spec.shape)
            }
        return Output(spec, tensor)
    }

    @Test
    fun `points lie where Python draws them`() {
        val all = vectors.field("points").list()
        assertTrue(all.size >= 10)
        for (vector in all) {
            val (height, width) = vector.field("photo").list().map(JsonNode::int)
            val labels = vector.optional("labels")?.list()?.map(JsonNode::string)
            val found = keyPoints(output(vector), labels, geometry(vector.field("geometry")).place(height, width))
            val expected =
                vector.optional("expected")?.list()?.map {
                    KeyPoint(
                        it.field("row").int(),
                        it.field("index").int(),
                        it.field("label").string(),
                        Place(it.field("x").double(), it.field("y").double()),
                        it.optional("score")?.double(),
                    )
                }
            assertEquals(vector.field("name").string(), expected, found)
        }
    }

    @Test
    fun `a point is sure from one half on, and where nothing is said`() {
        fun of(score: Double?) = KeyPoint(0, 0, "nose", Place(1.0, 1.0), score).isSure
        assertEquals(listOf(true, true, false), listOf(null, 0.5, 0.49).map(::of))
    }

    @Test
    fun `pictures have the levels of Python's`() {
        val all = vectors.field("pictures").list()
        assertTrue(all.size >= 12)
        for (vector in all) {
            val name = vector.field("name").string()
            val made = madePicture(output(vector))
            val expected = vector.optional("expected")
            if (expected == null) {
                assertNull(name, made)
                continue
            }
            checkNotNull(made) { name }
            assertEquals(name, expected.field("height").int(), made.picture.height)
            assertEquals(name, expected.field("width").int(), made.picture.width)
            assertEquals(name, expected.field("low").double(), made.black, 0.0)
            assertEquals(name, expected.field("high").double(), made.white, 0.0)
            val levels = made.picture.argb.flatMap { listOf((it shr 16) and 255, (it shr 8) and 255, it and 255) }
            assertEquals(name, expected.field("rgb").list().map(JsonNode::int), levels)
            assertTrue(name, made.picture.argb.all { it ushr 24 == 255 })
        }
    }
}

package dev.torchmobile.core

import org.junit.Assert.assertEquals
import org.junit.Assert.assertNull
import org.junit.Test

/** Boxes on a photo of 100 x 200, of which the network sees the middle 80 x 80 as 40 x 40: by hand. */
class BoxesTest {
    private val placed = Geometry(Resize.COVER, 50, 50, 40, 40, Rounding.DOWN).place(100, 200)
    private val labels = listOf("cat", "dog")

    private fun output(
        holds: Holds,
        shape: List<Long>,
        axes: List<String>,
        values: List<Number>,
        space: Space? = null,
    ) = Output(
        OutputTensor("$holds", shape, Dtype.FLOAT32, axes, holds, space = space),
        TensorValue.of(FloatArray(values.size) { values[it].toFloat() }, shape),
    )

    private fun boxes(
        vararg values: Number,
        space: Space? = Space.NETWORK,
    ) = output(Holds.BOXES, listOf(values.size / 4L, 4), listOf("boxes", "4"), values.toList(), space)

    private fun scores(vararg values: Number) = output(Holds.SCORES, listOf(values.size.toLong()), listOf("boxes"), values.toList())

    private fun classes(vararg values: Number) = output(Holds.CLASS_INDEX, listOf(values.size.toLong()), listOf("boxes"), values.toList())

    @Test
    fun `boxes are placed on the photo, the best first`() {
        val found = detections(listOf(boxes(0, 0, 20, 40, 10, 10, 90, 20), classes(1, 0), scores(0.3, 0.9)), labels, placed)!!.boxes
        assertEquals(listOf("cat", "dog"), found.map { it.label })
        assertEquals(Box(80.0, 30.0, 200.0, 50.0), found[0].box)
        assertEquals(Box(60.0, 10.0, 100.0, 90.0), found[1].box)
        assertEquals(0.9, found[0].score!!, 1e-6)
    }

    @Test
    fun `boxes of the photo stay where they are, cut at its edges`() {
        val found = detections(listOf(boxes(-5, 10, 20, 400, space = Space.PHOTO)), null, placed)!!.boxes
        assertEquals(listOf(Detection(0, Box(0.0, 10.0, 20.0, 100.0), null, "box", null)), found)
    }

    @Test
    fun `what has no area or no place is left out`() {
        val nan = Float.NaN
        val found =
            detections(
                listOf(boxes(5, 5, 5, 9, nan, 0, 1, 1, 500, 0, 600, 9, 1, 1, 2, 2), scores(1, 1, 1, 0.5)),
                null,
                placed,
            )!!.boxes
        assertEquals(listOf(0.5), found.map { it.score })
        assertNull(detections(listOf(boxes(1, 1, 2, 2, space = null)), null, placed))
        assertNull(detections(listOf(scores(1)), null, placed))
    }

    @Test
    fun `of scores for each class the best counts, on either side of the boxes`() {
        val two = boxes(0, 0, 9, 9, 0, 0, 9, 9)
        val rows = output(Holds.PROBABILITIES, listOf(2, 2), listOf("boxes", "classes"), listOf(0.1, 0.7, 0.6, 0.2))
        val columns = output(Holds.PROBABILITIES, listOf(2, 2), listOf("classes", "boxes"), listOf(0.1, 0.6, 0.7, 0.2))
        for (scores in listOf(rows, columns)) {
            val found = detections(listOf(scores, two), labels, placed)!!.boxes
            assertEquals(listOf("dog", "cat"), found.map { it.label })
            assertEquals(listOf(0.7f, 0.6f), found.map { it.score!!.toFloat() })
        }
    }

    @Test
    fun `the threshold keeps what is at least as sure`() {
        val found = detections(listOf(boxes(0, 0, 9, 9, 0, 0, 9, 9, 0, 0, 9, 9), scores(0.5, 0.25, Float.NaN)), null, placed)!!
        assertEquals(listOf(0.5), found.above(0.5).map { it.score })
        assertEquals(listOf(0.5, 0.25), found.above(0.25).map { it.score })
        assertEquals(2, found.boxes.size)
        assertEquals(1, detections(listOf(boxes(0, 0, 9, 9)), null, placed)!!.above(0.99).size)
    }

    @Test
    fun `a threshold is chosen among the scores there are`() {
        fun of(vararg scores: Double) = scoreRange(scores.toList())
        assertEquals(0.0..1.0, of(0.2, 0.9))
        assertEquals(-3.0..8.0, of(8.0, 0.5, -3.0))
        assertEquals(0.0..1.0, of())
        assertEquals(6.5..7.5, of(7.0, 7.0))
        val boxes = Content.Boxes(emptyList(), of(8.0, -3.0))
        assertEquals(listOf(2.5, 8.0, 1.0), listOf(null, 9.0, 1.0).map(boxes::threshold))
        assertEquals(0.0, Content.Boxes(emptyList(), null).threshold(0.5), 0.0)
    }

    @Test
    fun `nothing found is an empty list`() {
        assertEquals(emptyList<Detection>(), detections(listOf(boxes(), scores()), labels, placed)!!.boxes)
    }
}

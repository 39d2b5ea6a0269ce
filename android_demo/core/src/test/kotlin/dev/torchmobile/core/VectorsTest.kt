package dev.torchmobile.core

import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test
import java.lang.management.ManagementFactory
import java.util.Base64

/** The vectors of `tests/golden`, each made by the Python code they are named after. */
class VectorsTest {
    private fun bytes(node: JsonNode) = Base64.getDecoder().decode(node.string())

    @Test
    fun `outputs compare as runtime_check compares them`() {
        val checks = Fixtures.read("golden_checks.json").field("checks").list()
        assertTrue(checks.size > 20)
        for (check in checks) {
            val name = check.field("name").string()
            val output = check.optional("output")
            val comparison =
                compare(
                    check.field("expected").list().map(::expected),
                    check.field("actual").list().map(::tensor),
                    tolerance(check.field("tolerance")),
                    ranked = if (output == null) 0 else null,
                    found = output?.let { foundRows(outputTensors(it), detection(it)) },
                )
            assertEquals(name, check.field("passes").boolean(), comparison.passes)
            assertEquals(name, check.optional("problem")?.string(), comparison.problem?.name?.lowercase())
            assertEquals(name, check.optional("max_abs")?.double(), comparison.maxAbs)
            assertEquals(name, check.optional("top1")?.double(), comparison.top1)
        }
    }

    @Test
    fun `pixels with alpha or padding become RGB`() {
        var seen = 0
        for (vector in Fixtures.read("pixels.json").field("vectors").list()) {
            val order = vector.field("order").string()
            val raw = bytes(vector.field("bytes"))
            val stride = vector.field("row_stride").int()
            val width = vector.field("width").int()

            // What Bitmap.getPixels gives for these bytes.
            fun argb(at: Int) =
                "ARGB".fold(0) { pixel, letter ->
                    val index = order.indexOf(letter).takeIf { it >= 0 } ?: order.indexOf('X')
                    (pixel shl 8) or (raw[at + index].toInt() and 0xFF)
                }
            val image =
                rgbImage(width, vector.field("height").int(), hasAlpha = 'A' in order) { row, y ->
                    for (x in row.indices) row[x] = argb(y * stride + 4 * x)
                }
            for (color in PhotoColor.entries) {
                val tensor = image.tensor(color)
                assertArrayEquals("$order $color", bytes(vector.field(color.name.lowercase())), tensor.bytes)
                assertEquals(color.channels.toLong(), tensor.shape.last())
            }
            seen++
        }
        assertTrue(seen > 20)
    }

    @Test
    fun `orientations turn as Pillow turns them`() {
        for (vector in Fixtures.read("orientations.json").field("vectors").list()) {
            val stored = RgbImage(vector.field("height").int(), vector.field("width").int(), bytes(vector.field("rgb")))
            val upright = stored.upright(vector.field("orientation").int())
            val expected = vector.field("upright")
            assertEquals(expected.field("height").int(), upright.height)
            assertEquals(expected.field("width").int(), upright.width)
            assertArrayEquals(bytes(expected.field("rgb")), upright.bytes)
        }
    }

    @Test
    fun `alpha turns with its pixels`() {
        for (vector in Fixtures.read("orientations.json").field("vectors").list()) {
            val rgb = bytes(vector.field("rgb"))
            val red = ByteArray(rgb.size / 3) { rgb[3 * it] }
            val stored = RgbImage(vector.field("height").int(), vector.field("width").int(), rgb, red)
            val upright = stored.upright(vector.field("orientation").int())
            assertArrayEquals(ByteArray(red.size) { upright.bytes[3 * it] }, upright.alpha)
        }
    }

    @Test
    fun `an unknown orientation leaves the image as it is`() {
        val image = RgbImage(1, 2, ByteArray(6) { it.toByte() })
        for (orientation in listOf(-1, 0, 9, 1000)) {
            assertArrayEquals(image.bytes, image.upright(orientation).bytes)
        }
    }

    @Test
    fun `the best classes come in Python's order`() {
        for (vector in Fixtures.read("top_k.json").field("vectors").list()) {
            val scores =
                vector.field("scores").list().map { score ->
                    // Numbers JSON has no word for are texts.
                    runCatching { score.double() }.getOrElse { score.string().toDouble() }
                }
            val indices = vector.field("indices").list().map(JsonNode::int)
            assertEquals(indices, topK(scores.toDoubleArray(), vector.field("k").int()))
        }
    }

    @Test
    fun `median and 95th percentile are the benchmark's`() {
        for (vector in Fixtures.read("statistics.json").field("vectors").list()) {
            val samples = vector.field("samples_ms").list().map(JsonNode::double)
            assertEquals(vector.field("median_ms").double(), median(samples), 0.0)
            assertEquals(vector.field("p95_ms").double(), p95(samples), 0.0)
        }
    }

    @Test
    fun `photos are decoded as much smaller as Python says`() {
        for (vector in Fixtures.read("downsample.json").field("vectors").list()) {
            val bounds =
                ModelInput.Image(
                    vector.field("min_side").int(),
                    vector.field("max_side").int(),
                    vector.field("max_aspect").int(),
                    PhotoColor.RGB,
                    Geometry(Resize.STRETCH, 4, 4, 4, 4, Rounding.EVEN),
                )
            val preprocessing =
                vector.optional("input_size")?.list()?.map(JsonNode::int)?.let {
                    Preprocessing(it[1], it[2], vector.field("crop_pct").double(), true)
                }
            val wanted = wantedSide(preprocessing)
            assertEquals(vector.optional("wanted_side")?.int(), wanted)
            val width = vector.field("width").int()
            val height = vector.field("height").int()
            val plan = downsamplePlan(width, height, wanted, bounds)
            assertEquals("$width x $height", vector.field("sample").int(), plan.sample)
            assertEquals("$width x $height", vector.optional("refusal")?.string(), plan.refusal?.name?.lowercase())
            if (plan.refusal == null) {
                val pixels = (width.toLong() / plan.sample) * (height / plan.sample)
                assertTrue("$width x $height: $pixels", pixels <= maxPixels(wanted, bounds))
            }
        }
    }

    @Test
    fun `turning an image allocates what it returns, and nothing for a pixel`() {
        val image = RgbImage(200, 300, ByteArray(180_000))
        val threads = ManagementFactory.getThreadMXBean() as com.sun.management.ThreadMXBean

        fun allocated() = threads.getThreadAllocatedBytes(Thread.currentThread().id)
        for (orientation in 2..8) {
            val before = allocated()
            image.upright(orientation)
            assertTrue("${allocated() - before}", allocated() - before < 200_000)
        }
    }
}

package dev.torchmobile.core

import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNull
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test
import java.util.Base64
import java.util.Random

class ContractTest {
    private fun read(
        record: String,
        text: String,
    ): Any = if (record == "metadata") parseMetadata(text, "x.ptl") else parseGolden(text, "x.ptl")

    @Test
    fun `every record gets the verdict Python gives it`() {
        val files = Fixtures.read("contract/index.json").field("files").list()
        assertTrue(files.size > 15)
        for (entry in files) {
            val name = entry.field("file").string()
            val text = Fixtures.text("contract/$name")
            val record = entry.field("record").string()
            val verdict = entry.field("verdict").string()
            if (verdict == "ok") {
                read(record, text)
                continue
            }
            val failure = assertThrows(name, VisionError::class.java) { read(record, text) }.failure
            assertTrue("$name: ${failure.sentence}", "x.ptl" in failure.sentence)
            if (verdict == "unsupported") {
                val version = Regex("\"schema_version\": \"([0-9.]+)\"").find(text)!!.groupValues[1]
                val isOlder = version.first().digitToInt() < SCHEMA_MAJOR
                assertEquals(name, if (isOlder) Failure.SchemaOlder("x.ptl", version) else Failure.SchemaNewer("x.ptl", version), failure)
            } else {
                val isEmpty = text.isEmpty() && failure is Failure.MissingRecord
                assertTrue("$name: $failure", isEmpty || failure is Failure.Damaged)
            }
            entry.optional("field")?.let { assertTrue("$name: $failure", it.string() in failure.sentence) }
        }
    }

    @Test
    fun `all fields the app shows are read`() {
        val metadata = parseMetadata(Fixtures.text("contract/metadata.json"), "tiny.ptl")
        assertEquals("tiny", metadata.name)
        assertEquals(Task.CLASSIFICATION, metadata.task)
        val geometry = Geometry(Resize.COVER, 4, 4, 4, 4, Rounding.DOWN)
        assertEquals(ModelInput.Image(2, 64, 8, PhotoColor.RGB, geometry), metadata.input)
        assertEquals(
            listOf(OutputTensor("logits", listOf(5), Dtype.FLOAT32, listOf("classes"), Holds.PROBABILITIES)),
            metadata.outputs,
        )
        assertEquals(Preprocessing(4, 4, 0.875, true), metadata.preprocessing)
        assertEquals("Größe ü 猫", metadata.label(4, 5))
        assertEquals("class 4", metadata.label(4, 6))
        assertEquals("apache-2.0", metadata.license)
        assertEquals("none", metadata.quantization)
        assertEquals(1e-5, metadata.tolerance.atol, 0.0)
        assertNull(metadata.tolerance.step)
    }

    @Test
    fun `inputs and outputs are read in their order, with what they are`() {
        val tensors = parseMetadata(Fixtures.text("contract/metadata_tensor.json"), "x.ptl")
        assertEquals(
            ModelInput.Tensors(
                listOf(
                    InputTensor("pixels", listOf(1, 3, 4, 4), Dtype.FLOAT32),
                    InputTensor("age", listOf(1, 2), Dtype.INT64),
                ),
            ),
            tensors.input,
        )
        val map = parseMetadata(Fixtures.text("contract/metadata_segmentation.json"), "x.ptl")
        assertEquals(listOf("out", "scene"), map.outputs.map { it.name })
        assertEquals(Space.NETWORK, map.outputs[0].space)
        assertEquals(listOf(0, 0), map.outputs.map { it.classAxis })
        val detector = parseMetadata(Fixtures.text("contract/metadata_detector.json"), "x.ptl")
        assertEquals(listOf(Holds.BOXES, Holds.CLASS_INDEX, Holds.SCORES), detector.outputs.map { it.holds })
        assertEquals(listOf(null, null, null), detector.outputs.map { it.classAxis })
        assertTrue(detector.outputs.all { it.varies })
        assertEquals(DetectionLimits(0.25, 0.5, 300), detector.detection)
        val rows = FoundRows(boxes = 0, scores = 2, classes = 1, rows = listOf(0, 1, 2), detector.detection)
        assertEquals(rows, foundRows(detector.outputs, detector.detection))
        assertNull(parseMetadata(Fixtures.text("contract/metadata.json"), "x.ptl").detection)
    }

    @Test
    fun `a tolerance has one number for all outputs, or one for each`() {
        val text = """{"t": {"atol": 2, "rtol": 0, "basis": "b", "outputs": [1, 2]}}"""
        val each = tolerance(JsonNode.parse(text).field("t"))
        assertEquals(listOf(1.0, 2.0), listOf(each.atolOf(0), each.atolOf(1)))
        assertEquals(3.0, Tolerance(3.0, 0.0, "b").atolOf(5), 0.0)
    }

    @Test
    fun `a side that came later has the contract's default`() {
        val text = Fixtures.text("contract/metadata_no_max_aspect.json")
        assertEquals(32, (parseMetadata(text, "x.ptl").input as ModelInput.Image).maxAspect)
    }

    @Test
    fun `an empty record is called missing`() {
        val failure = assertThrows(VisionError::class.java) { parseGolden("", "x.ptl") }.failure
        assertEquals(Failure.MissingRecord("x.ptl", "golden.json"), failure)
    }

    @Test
    fun `hostile JSON is an ordinary failure`() {
        val hostile =
            listOf(
                "{".repeat(100_000),
                "[".repeat(100_000),
                """{"schema_version": 1e999999999}""",
                """{"schema_version": "2.0", "name": "a", "input": {"kind": "image", "min_side": 1e999999999}}""",
                "\u0000",
                "nan",
                """{"schema_version": "2.0"} {}""",
                """{'schema_version': '1.0'}""",
            )
        for (text in hostile) {
            val failure = assertThrows(text.take(40), VisionError::class.java) { parseMetadata(text, "x.ptl") }.failure
            assertTrue(failure is Failure.Damaged)
        }
    }

    @Test
    fun `every prefix of a good record fails in words`() {
        val text = Fixtures.text("contract/golden.json")
        for (end in 0 until text.trimEnd().length step 7) {
            assertThrows(VisionError::class.java) { parseGolden(text.substring(0, end), "x.ptl") }
        }
    }

    @Test
    fun `base64 is Java's`() {
        val random = Random(1)
        for (size in 0..70) {
            val bytes = ByteArray(size).also(random::nextBytes)
            assertArrayEquals(bytes, decodeBase64(Base64.getEncoder().encodeToString(bytes)))
        }
        for (bad in listOf("a", "ab==c", "!!!!", "ab=c", "\u00e9AAA")) {
            assertThrows(bad, IllegalArgumentException::class.java) { decodeBase64(bad) }
        }
    }
}

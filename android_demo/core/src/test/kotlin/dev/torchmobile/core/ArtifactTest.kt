package dev.torchmobile.core

import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNull
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

class ArtifactTest {
    private val image = RgbImage(4, 6, ByteArray(72) { (3 * it).toByte() })

    @Test
    fun `the golden vectors pass on a runtime that computes what Python computes`() {
        val report = replayGolden(openArtifact(FakeRuntime(), "p", "tiny.ptl"))
        assertTrue(report.passes)
        assertEquals(3, report.cases)
        assertEquals(0.0, report.maxAbs!!, 0.0)
        assertEquals(1.0, report.top1!!, 0.0)
        assertNull(report.firstProblem)
    }

    @Test
    fun `a wrong runtime fails the badge and says where`() {
        val wrong = FakeRuntime { listOf(TensorValue.of(FloatArray(5) { 0.2f }, listOf(5))) }
        val report = replayGolden(openArtifact(wrong, "p", "tiny.ptl"))
        assertFalse(report.passes)
        assertTrue(report.firstProblem!!, "wide: " in report.firstProblem!!)
        assertTrue(report.maxAbs!! > report.tolerance.atol)
    }

    @Test
    fun `a sampled output that is wrong where nobody looks is wrong in its mean`() {
        val wrong =
            FakeRuntime { inputs ->
                val values = tinyForward(inputs[0]).doubles().map { it.toFloat() }.toFloatArray()
                // The third case holds the values at 1 and 3.
                if (inputs[0].shape == listOf(5L, 5L, 3L)) values[2] += 0.001f
                listOf(TensorValue.of(values, listOf(5)))
            }
        val report = replayGolden(openArtifact(wrong, "p", "tiny.ptl"))
        assertEquals(2, report.passed)
        assertTrue(report.firstProblem!!, report.firstProblem!!.startsWith("sampled: "))
    }

    @Test
    fun `only a classifier's badge speaks of classes`() {
        val text = Fixtures.text("contract/metadata.json").replace("\"image-classification\"", "null")
        val report = replayGolden(openArtifact(FakeRuntime(text), "p", "tiny.ptl"))
        assertTrue(report.passes)
        assertNull(report.top1)
        assertFalse(report.sentence, "top-1" in report.sentence)
        assertTrue(report.sentence, "max |d| 0.0e+00 (allowed 1.0e-05)" in report.sentence)
    }

    @Test
    fun `outputs that nobody described are an error in words`() {
        val two = FakeRuntime { listOf(tinyForward(it[0]), tinyForward(it[0])) }
        val failure = assertThrows(DemoException::class.java) { predict(openArtifact(two, "p", "tiny.ptl"), image) }.failure
        assertTrue(failure.sentence, "2 outputs came, and its metadata states 1" in failure.sentence)
    }

    @Test
    fun `a runtime that throws fails the badge in words`() {
        val broken = FakeRuntime { error("shape mismatch\nC++ frames follow") }
        val report = replayGolden(openArtifact(broken, "p", "tiny.ptl"))
        assertFalse(report.passes)
        assertTrue(report.firstProblem!!, "shape mismatch." in report.firstProblem!!)
        assertFalse("C++ frames" in report.firstProblem!!)
    }

    @Test
    fun `a damaged record closes the model`() {
        val runtime = FakeRuntime(golden = "{}")
        assertThrows(DemoException::class.java) { openArtifact(runtime, "p", "tiny.ptl") }
        assertEquals(1, runtime.closed)
    }

    @Test
    fun `classes come with the labels of the metadata`() {
        val artifact = openArtifact(FakeRuntime(), "p", "tiny.ptl")
        var now = 0L
        val result = predict(artifact, image) { now.also { now += 2_500_000 } }
        assertEquals(2.5, result.ms, 0.0)
        val shown = result.shown as Shown.Classes
        assertTrue(shown.areShares)
        val scores = tinyForward(image.tensor()).doubles()
        val labels = listOf("amber", "beech, beech tree", "clay", "dew", "Größe ü 猫")
        assertEquals(topK(scores, 5).map { labels[it] }, shown.top.map { it.label })
        assertEquals(emptyList<TableRow>(), result.table)
    }

    @Test
    fun `a tensor artifact refuses photos but replays its vectors`() {
        val artifact = openArtifact(FakeRuntime(Fixtures.text("contract/metadata_tensor.json")), "p", "tiny.ptl")
        val failure = assertThrows(DemoException::class.java) { predict(artifact, image) }.failure
        assertEquals(Failure.NotForPhotos("tiny"), failure)
    }

    @Test
    fun `the benchmark JSON is the fixture that bench --import reads`() {
        val metadata = parseMetadata(Fixtures.text("contract/metadata.json"), "tiny.ptl")
        val device = Device("Pixel 8", "Android 15", "arm64", 9, "t 1")
        val file = MeasuredFile("tiny.ptl", "0".repeat(64), 1000, 12.5)
        val run = BenchmarkRun(1, listOf(4, 6, 3), listOf(2.5, 2.25, 3.0), 3.25, 1.5)
        val made = benchmarkJson(device, "lite interpreter 2.1.0", metadata, file, listOf(run))

        fun parsed(text: String) =
            com.google.gson.JsonParser
                .parseString(text)
                .asJsonObject
        val expected = parsed(Fixtures.text("benchmark_android.json"))
        val where = expected["devices"].asJsonArray[0].asJsonObject
        // Python writes its defaults; the app measures one file at a time and skips none.
        where.remove("interleaved")
        where.remove("skipped")
        assertEquals(expected, parsed(made))
    }

    @Test
    fun `a benchmark warms up, then times each thread count`() {
        val runtime = FakeRuntime()
        val artifact = openArtifact(runtime, "p", "tiny.ptl")
        var used = 0.0
        var now = 0L
        val runs =
            benchmark(
                artifact,
                BenchmarkPlan(warmUp = 2, runs = 5, threads = listOf(1, 2)),
                runtime::setThreads,
                { used.also { used += 1.0 } },
                { now.also { now += 1_000_000 } },
            )
        assertEquals(listOf(1, 2), runtime.threads)
        assertEquals(listOf(5, 5), runs.map { it.samplesMs.size })
        assertEquals(1.0, runs[0].medianMs, 0.0)
        assertEquals(5.0, runs[0].peakMb!!, 0.0)
        // Stopped in the second run: the first is what there is.
        var asked = 0
        val stopped =
            benchmark(artifact, BenchmarkPlan(0, 2, listOf(1, 2, 3)), runtime::setThreads, { null }, isCanceled = { ++asked > 4 })
        assertEquals(listOf(1), stopped.map { it.threads })
    }

    @Test
    fun `the latency window keeps the last ones`() {
        val window = (1..30).fold(LatencyWindow(size = 3)) { held, ms -> held + ms.toDouble() }
        assertEquals(listOf(28.0, 29.0, 30.0), window.samples)
        assertEquals(29.0, window.median!!, 0.0)
        assertNull(LatencyWindow().median)
    }
}

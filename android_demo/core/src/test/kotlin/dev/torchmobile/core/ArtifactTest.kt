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
        assertEquals(2, report.cases)
        assertEquals(0.0, report.maxAbs!!, 0.0)
        assertEquals(1.0, report.top1!!, 0.0)
        assertNull(report.firstProblem)
    }

    @Test
    fun `a wrong runtime fails the badge and says where`() {
        val wrong = FakeRuntime { listOf(TensorValue.of(FloatArray(5) { 0.2f }, listOf(1, 5))) }
        val report = replayGolden(openArtifact(wrong, "p", "tiny.ptl"))
        assertFalse(report.passes)
        assertTrue(report.firstProblem!!, "wide: " in report.firstProblem!!)
        assertTrue(report.maxAbs!! > report.tolerance.atol)
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
        val result = classify(artifact, image, k = 3) { now.also { now += 2_500_000 } }
        assertEquals(2.5, result.ms, 0.0)
        assertTrue(result.scoresAreShares)
        assertEquals(3, result.top.size)
        val scores = tinyForward(image.tensor()).doubles()
        assertEquals(topK(scores, 3).map { artifact.metadata.label(it) }, result.top.map { it.label })
    }

    @Test
    fun `a tensor artifact refuses photos but replays its vectors`() {
        val artifact = openArtifact(FakeRuntime(Fixtures.text("contract/metadata_tensor.json")), "p", "tiny.ptl")
        val failure = assertThrows(DemoException::class.java) { classify(artifact, image) }.failure
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
    }

    @Test
    fun `the latency window keeps the last ones`() {
        val window = (1..30).fold(LatencyWindow(size = 3)) { held, ms -> held + ms.toDouble() }
        assertEquals(listOf(28.0, 29.0, 30.0), window.samples)
        assertEquals(29.0, window.median!!, 0.0)
        assertNull(LatencyWindow().median)
    }
}

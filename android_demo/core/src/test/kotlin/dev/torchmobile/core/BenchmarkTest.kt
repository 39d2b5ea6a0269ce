package dev.torchmobile.core

import com.google.gson.JsonParser
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNull
import org.junit.Assert.assertTrue
import org.junit.Test

class BenchmarkTest {
    @Test
    fun `the benchmark JSON is the fixture that bench --import reads`() {
        val metadata = parseMetadata(Fixtures.text("contract/metadata.json"), "tiny.ptl")
        val device = Device("Pixel 8", "Android 15", "arm64", 9, "t 1")
        val file = MeasuredFile("tiny.ptl", "0".repeat(64), 1000, 12.5)
        val run = BenchmarkRun(1, listOf(4, 6, 3), listOf(2.5, 2.25, 3.0), 3.25, 1.5)
        val skipped = listOf(Skipped(2, "Not enough memory for tiny.ptl. Close other apps, or choose a smaller one."))
        val made = benchmarkJson(device, "lite interpreter 2.1.0", metadata, file, Measured(listOf(run), skipped))
        assertEquals(JsonParser.parseString(Fixtures.text("benchmark_android.json")), JsonParser.parseString(made))
    }

    @Test
    fun `a benchmark warms up, then times each thread count, and gives the threads back`() {
        val runtime = FakeRuntime()
        val model = opened(runtime)
        var used = 0.0
        var now = 0L
        val plan = BenchmarkPlan(warmUp = 2, runs = 5, threads = listOf(1, 4))
        val measured = benchmark(model, plan, { used.also { used += 1.0 } }, { now.also { now += 1_000_000 } })
        // The first and the last are those it was opened with.
        assertEquals(listOf(2, 1, 4, 2), runtime.threads)
        assertEquals(listOf(5, 5), measured.runs.map { it.samplesMs.size })
        assertEquals(1.0, measured.runs[0].medianMs, 0.0)
        assertEquals(5.0, measured.runs[0].peakMb!!, 0.0)
        assertEquals(emptyList<Skipped>(), measured.skipped)
        // Stopped in the second run: the first is what there is.
        var asked = 0
        val stopped = benchmark(model, BenchmarkPlan(0, 2, listOf(1, 2, 3)), { null }, isCanceled = { ++asked > 4 })
        assertEquals(listOf(1), stopped.runs.map { it.threads })
        assertEquals(2, runtime.threads.last())
    }

    @Test
    fun `a thread count that does not run is skipped, and the others are measured`() {
        var calls = 0
        val runtime =
            FakeRuntime {
                if (++calls == 1) throw OutOfMemoryError()
                listOf(tinyForward(it[0]))
            }
        val told = mutableListOf<Int>()
        val measured = benchmark(opened(runtime), BenchmarkPlan(0, 1, listOf(1, 2)), { null }) { told += it.threads }
        assertEquals(listOf(2), measured.runs.map { it.threads })
        assertEquals(listOf(2), told)
        val skipped = measured.skipped.single()
        assertEquals(1, skipped.threads)
        assertTrue(skipped.reason, skipped.reason.startsWith("Not enough memory for tiny.ptl."))
    }

    @Test
    fun `counts are 1, 2 and 4, as far as there are cores`() {
        assertEquals(listOf(listOf(1), listOf(1), listOf(1, 2), listOf(1, 2), listOf(1, 2, 4)), listOf(0, 1, 2, 3, 9).map(::threadCounts))
    }

    @Test
    fun `the latency window keeps the last ones`() {
        val window = (1..30).fold(LatencyWindow(size = 3)) { held, ms -> held + ms.toDouble() }
        assertEquals(listOf(28.0, 29.0, 30.0), window.samples)
        assertEquals(29.0, window.median!!, 0.0)
        assertNull(LatencyWindow().median)
    }
}

package dev.torchmobile.core

import com.google.gson.GsonBuilder
import com.google.gson.JsonArray
import com.google.gson.JsonObject

/** Where a benchmark ran. */
data class Device(
    val model: String,
    val os: String,
    val cpu: String,
    val cores: Int,
    val app: String,
)

/** What to measure: [warmUp] untimed, then [runs] timed inferences for each count in [threads]. */
data class BenchmarkPlan(
    val warmUp: Int,
    val runs: Int,
    val threads: List<Int>,
) {
    init {
        require(warmUp >= 0 && runs >= 1 && threads.isNotEmpty() && threads.all { it >= 1 })
    }
}

/** One thread count on one file. Times in ms; [peakMb] in 10^6 bytes, null where unknown. */
data class BenchmarkRun(
    val threads: Int,
    val inputShape: List<Long>,
    val samplesMs: List<Double>,
    val firstMs: Double,
    val peakMb: Double?,
) {
    val medianMs: Double get() = median(samplesMs)
    val p95Ms: Double get() = p95(samplesMs)
}

/** A file as the benchmark names it. */
data class MeasuredFile(
    val name: String,
    val sha256: String,
    val bytes: Long,
    val loadMs: Double,
)

/** A count of threads that did not run, and why. */
data class Skipped(
    val threads: Int,
    val reason: String,
)

/** What was measured, and what could not be. */
class Measured(
    val runs: List<BenchmarkRun>,
    val skipped: List<Skipped>,
)

private val THREAD_COUNTS = listOf(1, 2, 4)

/** The counts of threads that a benchmark measures, as on iOS: 1, 2 and 4, as far as [most] goes. */
fun threadCounts(most: Int): List<Int> = THREAD_COUNTS.filter { it <= maxOf(most, 1) }

/**
 * Time the first golden input of [model] with each count of threads, and give the threads back.
 *
 * Each run is told to [finished] at once; a count that does not run is skipped. Once [isCanceled], the run in
 * hand ends without a result, and those left are not begun. [usedMb] reads the process's memory (null:
 * unknown); the peak is its highest reading after an inference less the one before the first.
 */
fun benchmark(
    model: VisionModel,
    plan: BenchmarkPlan,
    usedMb: () -> Double?,
    clock: Clock = System::nanoTime,
    isCanceled: () -> Boolean = { false },
    finished: (BenchmarkRun) -> Unit = {},
): Measured {
    val runs = mutableListOf<BenchmarkRun>()
    val skipped = mutableListOf<Skipped>()
    try {
        for (threads in plan.threads) {
            try {
                runs += measured(model, plan, threads, usedMb, clock, isCanceled) ?: break
                finished(runs.last())
            } catch (error: VisionError) {
                skipped += Skipped(threads, error.failure.sentence)
            }
        }
    } finally {
        model.setThreads(model.threads)
    }
    return Measured(runs, skipped)
}

/** One count of threads; null where it was canceled. */
private fun measured(
    model: VisionModel,
    plan: BenchmarkPlan,
    threads: Int,
    usedMb: () -> Double?,
    clock: Clock,
    isCanceled: () -> Boolean,
): BenchmarkRun? {
    val inputs =
        model.golden.cases
            .first()
            .inputs
    model.setThreads(threads)
    val before = usedMb()
    var peak = before
    val times = mutableListOf<Double>()
    while (times.size < 1 + plan.warmUp + plan.runs) {
        if (isCanceled()) return null
        times += model.forward(inputs, clock).ms
        if (times.size <= 1 + plan.warmUp) continue
        val now = usedMb()
        if (now != null && now > (peak ?: 0.0)) peak = now
    }
    return BenchmarkRun(
        threads = threads,
        inputShape = inputs.first().shape,
        samplesMs = times.takeLast(plan.runs),
        firstMs = times.first(),
        peakMb = peak?.let { it - (before ?: 0.0) },
    )
}

/** The JSON that `python -m runtime_check bench --import` reads. */
fun benchmarkJson(
    device: Device,
    runtime: String,
    metadata: Metadata,
    file: MeasuredFile,
    measured: Measured,
): String {
    val runs =
        JsonArray().apply {
            for (run in measured.runs) add(runJson(runtime, metadata, file, run))
        }
    val skipped =
        JsonArray().apply {
            for (one in measured.skipped) {
                add(
                    JsonObject().apply {
                        addProperty("label", label(file, one.threads))
                        addProperty("reason", one.reason)
                    },
                )
            }
        }
    val where =
        JsonObject().apply {
            addProperty("platform", "android")
            addProperty("model", device.model)
            addProperty("os", device.os)
            addProperty("cpu", device.cpu)
            addProperty("cores", device.cores)
            addProperty("app", device.app)
        }
    val root =
        JsonObject().apply {
            addProperty("format", "runtime-check-benchmark")
            addProperty("version", "1.0")
            add(
                "devices",
                JsonArray().apply {
                    add(
                        JsonObject().apply {
                            add("device", where)
                            add("runs", runs)
                            add("skipped", skipped)
                            addProperty("interleaved", false)
                        },
                    )
                },
            )
        }
    return GsonBuilder()
        .setPrettyPrinting()
        .serializeNulls()
        .create()
        .toJson(root)
}

private const val BYTES_PER_MB = 1e6

private fun label(
    file: MeasuredFile,
    threads: Int,
) = "${file.name}, $threads ${if (threads == 1) "thread" else "threads"}"

private fun runJson(
    runtime: String,
    metadata: Metadata,
    file: MeasuredFile,
    run: BenchmarkRun,
) = JsonObject().apply {
    addProperty("label", label(file, run.threads))
    addProperty("runtime", runtime)
    addProperty("model", metadata.name)
    addProperty("file", file.name)
    addProperty("sha256", file.sha256)
    addProperty("quantization", metadata.quantization)
    addProperty("threads", run.threads)
    add("input_shape", JsonArray().apply { run.inputShape.forEach { add(it) } })
    add("samples_ms", JsonArray().apply { run.samplesMs.forEach { add(it) } })
    addProperty("load_ms", file.loadMs)
    addProperty("first_ms", run.firstMs)
    addProperty("peak_mb", run.peakMb)
    addProperty("size_mb", file.bytes / BYTES_PER_MB)
}

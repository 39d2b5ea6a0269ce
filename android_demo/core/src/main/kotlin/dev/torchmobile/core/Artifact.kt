package dev.torchmobile.core

import java.util.Locale
import kotlin.math.roundToInt

/** Time in nanoseconds, from any origin; replaced in tests. */
typealias Clock = () -> Long

private const val NANOS_PER_MS = 1e6
private const val PHOTO_AXES = 3

/** A loaded file with its records read. */
class Artifact(
    val file: String,
    val metadata: Metadata,
    val golden: Golden,
    val loadMs: Double,
    private val model: LoadedModel,
) : AutoCloseable by model {
    /**
     * Run `forward` and time it; a runtime's error becomes [Failure.RunFailed].
     *
     * A photo out of bounds is refused here: a `.ptl` checks that itself, a `.pte` would compute on.
     */
    fun run(
        inputs: List<TensorValue>,
        clock: Clock = System::nanoTime,
    ): Timed {
        requireInBounds(inputs)
        val start = clock()
        val outputs =
            try {
                model.run(inputs)
            } catch (error: OutOfMemoryError) {
                throw DemoException(Failure.OutOfMemory(metadata.name), error)
            } catch (error: Exception) {
                throw DemoException(Failure.RunFailed(metadata.name, firstLine(error), metadata.format), error)
            }
        return Timed(outputs, (clock() - start) / NANOS_PER_MS)
    }

    private fun requireInBounds(inputs: List<TensorValue>) {
        val bounds = metadata.input as? ModelInput.Image ?: return
        val shape = inputs.firstOrNull()?.shape?.takeIf { it.size == PHOTO_AXES } ?: return
        val (height, width) = shape
        val why = refusal(width, height, bounds) ?: return
        throw DemoException(Failure.PhotoOutOfBounds(width.toInt(), height.toInt(), why, bounds))
    }
}

/** Outputs and how long they took, ms. */
class Timed(
    val outputs: List<TensorValue>,
    val ms: Double,
)

/**
 * Load the file at [path] and read both records; throw [DemoException]. [file] is its name.
 *
 * With a [key], a file that it did not sign is refused before the runtime sees it.
 */
fun openArtifact(
    runtime: Runtime,
    path: String,
    file: String,
    key: PublicKey? = null,
    clock: Clock = System::nanoTime,
): Artifact {
    if (key != null) requireVouched(key, path, file)
    val start = clock()
    val model = runtime.open(path)
    val loadMs = (clock() - start) / NANOS_PER_MS
    try {
        return Artifact(
            file,
            parseMetadata(model.metadataJson, file),
            parseGolden(model.goldenJson, file),
            loadMs,
            model,
        )
    } catch (error: DemoException) {
        model.close()
        throw error
    }
}

/** The golden vectors replayed on this phone: what the badge shows. */
data class GoldenReport(
    val cases: Int,
    val passed: Int,
    val maxAbs: Double?,
    val top1: Double?,
    val tolerance: Tolerance,
    val firstProblem: String?,
    val format: Format = Format.LITE,
) {
    val passes: Boolean get() = cases > 0 && passed == cases
}

/** Replay every golden case of [artifact]; a case that does not run counts as failed. */
fun replayGolden(artifact: Artifact): GoldenReport {
    val golden = artifact.golden
    val metadata = artifact.metadata
    // The classes of one row lie along the last axis, whatever batch of one is in front.
    val ranked =
        metadata.outputs
            .indexOfFirst { isRowOfClasses(metadata.task, it) && it.classAxis == it.axes.lastIndex }
            .takeIf { it >= 0 }
    val found = if (ranked == null) foundRows(metadata.outputs, metadata.detection) else null
    val comparisons =
        golden.cases.map { case ->
            case.name to
                try {
                    compare(case.expected, artifact.run(case.inputs).outputs, golden.tolerance, ranked, found)
                } catch (error: DemoException) {
                    Comparison(Problem.COUNT, error.failure.sentence)
                }
        }
    val agreements = comparisons.mapNotNull { it.second.top1 }
    return GoldenReport(
        cases = comparisons.size,
        passed = comparisons.count { it.second.passes },
        maxAbs = comparisons.mapNotNull { it.second.maxAbs }.maxOrNull(),
        top1 = agreements.takeIf { it.isNotEmpty() }?.average(),
        tolerance = golden.tolerance,
        firstProblem = comparisons.firstOrNull { !it.second.passes }?.let { "${it.first}: ${it.second.detail}" },
        format = metadata.format,
    )
}

/** The first line of what a runtime threw: c10's messages carry a page of C++ after it. */
fun firstLine(error: Throwable): String =
    (error.message ?: error.javaClass.simpleName)
        .lineSequence()
        .first()
        .trim()
        .trimEnd('.')

private fun brief(value: Double) = String.format(Locale.ROOT, "%.1e", value)

/** The figures of the badge; those that do not apply are left out. */
val GoldenReport.figures: String
    get() {
        val distance =
            maxAbs?.let {
                "max |d| ${brief(
                    it,
                )} (allowed ${if (tolerance.outputs.size > 1) "up to " else ""}${brief(tolerance.atol)})"
            }
        val agreement = top1?.let { "top-1 agreement ${(100 * it).roundToInt()} %" }
        return listOfNotNull(distance, agreement).joinToString(", ")
    }

/** The badge in words: what was compared, by how much it differs, and what a failure means. */
val GoldenReport.sentence: String
    get() =
        if (passes) {
            "Verified on this phone: $passed of $cases golden inputs match Python. $figures."
        } else {
            "NOT verified: only $passed of $cases golden inputs match Python. " +
                (if (figures.isEmpty()) "" else "$figures. ") +
                "First: $firstProblem. This phone computes different results than the computer that " +
                "exported the file, so don't trust its predictions. On the computer, " +
                "`python -m runtime_check FILE --run-on ${format.runOn}` shows where the difference starts."
        }

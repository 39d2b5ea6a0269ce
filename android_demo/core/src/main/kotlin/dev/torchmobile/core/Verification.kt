package dev.torchmobile.core

/**
 * What replaying the golden vectors gave: whether this device computes what Python computed.
 *
 * [maxAbs] is the largest distance of two numbers, null where none were compared; [allowed] what the file
 * allows, the largest where each of [several] outputs has a tolerance of its own. [top1] is the share of
 * inputs whose best class agrees, 0 to 1, null where no classes are ranked. [firstProblem] names the first
 * input that differs, and how.
 */
data class Verification(
    val cases: Int,
    val passed: Int,
    val maxAbs: Double?,
    val allowed: Double,
    val several: Boolean,
    val top1: Double?,
    val firstProblem: String?,
    val runOn: String,
) {
    /** Whether every golden input gave what Python gave, and there was one. */
    val passes: Boolean get() = cases > 0 && passed == cases

    /** What was compared, by how much it differs, and what a failure means. */
    val sentence: String
        get() {
            val figures = figures()
            val matched = "$passed of $cases golden inputs match Python$figures."
            if (passes) return "Verified on this device: $matched"
            return "NOT verified: only $matched First: $firstProblem. This device computes different results than the " +
                "computer that exported the file, so don't trust what it says. On a computer, " +
                "`python -m runtime_check FILE --run-on $runOn` shows where the difference starts."
        }

    private fun figures(): String {
        val most = (if (several) "up to " else "") + scientific(allowed)
        val distance = maxAbs?.let { "max |d| ${scientific(it)} (allowed $most)" }
        val agreement = top1?.let { "top-1 agreement ${fixed(100 * it, 0)} %" }
        val stated = listOfNotNull(distance, agreement)
        return if (stated.isEmpty()) "" else stated.joinToString(", ", prefix = "; ")
    }
}

/** Replay every case of [golden]; one that [forward] does not run counts as failed, and the others go on. */
internal fun replay(
    golden: Golden,
    metadata: Metadata,
    forward: (List<TensorValue>) -> List<TensorValue>,
): Verification {
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
                    compare(case.expected, forward(case.inputs), golden.tolerance, ranked, found)
                } catch (error: VisionError) {
                    Comparison(Problem.COUNT, error.failure.sentence.removeSuffix("."))
                }
        }
    val agreements = comparisons.mapNotNull { it.second.top1 }
    return Verification(
        cases = comparisons.size,
        passed = comparisons.count { it.second.passes },
        maxAbs = comparisons.mapNotNull { it.second.maxAbs }.maxOrNull(),
        allowed = golden.tolerance.atol,
        several = golden.tolerance.outputs.size > 1,
        top1 = agreements.takeIf { it.isNotEmpty() }?.average(),
        firstProblem = comparisons.firstOrNull { !it.second.passes }?.let { "${it.first}: ${it.second.detail}" },
        runOn = metadata.format.runOn,
    )
}

package dev.torchmobile.core

import kotlin.math.abs

/** Why two sets of outputs differ; the names are those of `runtime_check.compare`. */
enum class Problem { EMPTY, COUNT, SHAPE, DTYPE, NONFINITE, VALUES }

/**
 * How outputs differ from what was expected, computed in float64.
 *
 * [maxAbs] is null where no pair of finite numbers was compared; [top1] (share of rows whose best
 * class agrees, 0 to 1) where there is nothing to rank.
 */
data class Comparison(
    val problem: Problem?,
    val detail: String,
    val maxAbs: Double? = null,
    val top1: Double? = null,
) {
    val passes: Boolean get() = problem == null
}

/** Compare [actual] with [expected], output by output; comparing nothing is a failure. */
fun compare(
    expected: List<TensorValue>,
    actual: List<TensorValue>,
    tolerance: Tolerance,
): Comparison {
    if (expected.size != actual.size) {
        return Comparison(Problem.COUNT, "${expected.size} outputs expected, ${actual.size} came")
    }
    for ((one, other) in expected.zip(actual)) {
        if (one.shape != other.shape) {
            return Comparison(Problem.SHAPE, "shape ${other.shape}, expected ${one.shape}")
        }
        if (one.dtype != other.dtype) {
            return Comparison(Problem.DTYPE, "${other.dtype.label}, expected ${one.dtype.label}")
        }
    }
    if (expected.sumOf { it.count } == 0) {
        return Comparison(Problem.EMPTY, "there is nothing to compare")
    }
    return compareValues(expected, actual, tolerance)
}

private fun compareValues(
    expected: List<TensorValue>,
    actual: List<TensorValue>,
    tolerance: Tolerance,
): Comparison {
    var maxAbs: Double? = null
    var unlike = 0
    var outside = 0
    for ((one, other) in expected.zip(actual)) {
        for (index in 0 until one.count) {
            val wanted = one.double(index)
            val got = other.double(index)
            if (!wanted.isFinite() || !got.isFinite()) {
                // The same infinity, or NaN on both sides, is alike and has no distance.
                if (wanted != got && !(wanted.isNaN() && got.isNaN())) unlike++
                continue
            }
            val distance = abs(wanted - got)
            if (maxAbs == null || distance > maxAbs) maxAbs = distance
            if (distance > tolerance.atol + tolerance.rtol * abs(wanted)) outside++
        }
    }
    val top1 = if (unlike == 0) top1Agreement(expected[0], actual[0]) else null
    return when {
        unlike > 0 -> {
            Comparison(Problem.NONFINITE, "$unlike values are NaN or infinite on one side only", maxAbs)
        }

        outside > 0 -> {
            Comparison(Problem.VALUES, "$outside values are outside the tolerance", maxAbs, top1)
        }

        else -> {
            Comparison(null, "", maxAbs, top1)
        }
    }
}

/** Share of rows (all dimensions but the last) whose best class agrees; null below two classes. */
private fun top1Agreement(
    expected: TensorValue,
    actual: TensorValue,
): Double? {
    val classes = expected.shape.lastOrNull()?.toInt() ?: return null
    if (classes < 2 || expected.count == 0) return null
    val rows = expected.count / classes

    fun best(
        tensor: TensorValue,
        row: Int,
    ) = topK(DoubleArray(classes) { tensor.double(row * classes + it) }, 1).first()
    return (0 until rows).count { best(expected, it) == best(actual, it) }.toDouble() / rows
}

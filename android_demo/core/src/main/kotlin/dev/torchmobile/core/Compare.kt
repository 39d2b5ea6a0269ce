package dev.torchmobile.core

import kotlin.math.abs
import kotlin.math.max
import kotlin.math.min

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

/**
 * Compare [actual] with [expected], output by output; comparing nothing is a failure.
 *
 * Of a sampled output the values at its places are compared, its smallest, largest and mean value, and
 * how many are not finite: what is wrong elsewhere shows in those. Integers and bools are compared exactly,
 * but for the share of them that the tolerance lets flip: two at least of a sample, whose mean moves no
 * further than that share can move it. [ranked] is the output whose last axis ranks classes; null: none
 * does. [found] says which outputs are boxes: those are compared in pairs ([pairBoxes]), and none on both
 * sides are the same.
 */
fun compare(
    expected: List<Expected>,
    actual: List<TensorValue>,
    tolerance: Tolerance,
    ranked: Int?,
    found: FoundRows? = null,
): Comparison {
    if (expected.size != actual.size) {
        return Comparison(Problem.COUNT, "${expected.size} outputs expected, ${actual.size} came")
    }
    if (found == null || !expected.all(Expected::isWhole)) return compareInPlace(expected, actual, tolerance, ranked)
    val (one, other) = pairBoxes(found, expected.map { it.held }, actual, tolerance)
    val nothing = one.map { it.shape } == other.map { it.shape } && one.sumOf { it.count } == 0
    if (nothing) return Comparison(null, "")
    return compareInPlace(one.map { Expected(it.shape, it) }, other, tolerance, ranked)
}

private fun compareInPlace(
    expected: List<Expected>,
    actual: List<TensorValue>,
    tolerance: Tolerance,
    ranked: Int?,
): Comparison {
    for ((one, other) in expected.zip(actual)) {
        if (one.shape != other.shape) {
            return Comparison(Problem.SHAPE, "shape ${other.shape}, expected ${one.shape}")
        }
        if (one.held.dtype != other.dtype) {
            return Comparison(Problem.DTYPE, "${other.dtype.label}, expected ${one.held.dtype.label}")
        }
    }
    if (actual.sumOf { it.count } == 0) {
        return Comparison(Problem.EMPTY, "there is nothing to compare")
    }
    return compareValues(expected, actual, tolerance, ranked)
}

/** What comparing pairs of numbers has found so far. */
private class Found {
    var maxAbs: Double? = null
    var unlike = 0
    var outside = 0

    fun add(
        wanted: Double,
        got: Double,
        allowed: Double,
    ) {
        if (!wanted.isFinite() || !got.isFinite()) {
            // The same infinity, or NaN on both sides, is alike and has no distance.
            if (wanted != got && !(wanted.isNaN() && got.isNaN())) unlike++
            return
        }
        val distance = abs(wanted - got)
        maxAbs = max(maxAbs ?: 0.0, distance)
        if (distance > allowed) outside++
    }
}

private const val SUM_NOISE = 1e-12

// As many of the whole numbers of a sample may differ, where some may: a share of it may be less than one.
private const val LEAST_FLIPS = 2

private fun compareValues(
    expected: List<Expected>,
    actual: List<TensorValue>,
    tolerance: Tolerance,
    ranked: Int?,
): Comparison {
    val found = Found()
    expected.forEachIndexed { output, one ->
        val other = actual[output]
        val exact = !one.held.dtype.isFloat
        val before = found.outside

        fun allowed(wanted: Double) = if (exact) 0.0 else tolerance.atolOf(output) + tolerance.rtol * abs(wanted)
        for (index in 0 until one.held.count) {
            val at = one.start + index * one.stride
            val wanted = one.held.double(index)
            found.add(wanted, other.double(at), allowed(wanted))
            // Beyond 2^53 integers share their float64.
            if (exact && wanted == other.double(at) && one.held.long(index) != other.long(at)) found.outside++
        }
        val mayFlip = exact && tolerance.flips > 0
        val most = max(tolerance.flips * one.held.count, if (one.isWhole) 0.0 else LEAST_FLIPS.toDouble())
        if (mayFlip && found.outside - before <= most) found.outside = before
        // A map whose pixels may take another class has no fixed figures.
        one.figures?.takeIf { !mayFlip }?.let { stated ->
            val here = figures(other)
            // NaN has no part in the other figures; at places that are not held it shows here alone.
            found.unlike += abs(stated.nonfinite - here.nonfinite)
            for (figure in listOf(Figures::minimum, Figures::maximum, Figures::mean)) {
                val wanted = figure(stated) ?: continue
                // The mean's terms were added in another order.
                val slack = if (figure == Figures::mean) SUM_NOISE * abs(wanted) else 0.0
                found.add(wanted, figure(here) ?: Double.NaN, allowed(wanted) + slack)
            }
        }
    }
    if (found.unlike == 0 && found.outside == 0) meansApart(expected, actual, tolerance)?.let { return it }
    val top1 =
        ranked
            ?.takeIf { found.unlike == 0 && expected.all(Expected::isWhole) }
            ?.let { top1Agreement(expected[it].held, actual[it]) }
    return when {
        found.unlike > 0 -> {
            Comparison(Problem.NONFINITE, "${found.unlike} values are NaN or infinite on one side only", found.maxAbs)
        }

        found.outside > 0 -> {
            Comparison(Problem.VALUES, "${found.outside} values are outside the tolerance", found.maxAbs, top1)
        }

        else -> {
            Comparison(null, "", found.maxAbs, top1)
        }
    }
}

/**
 * Compare the means of sampled maps whose pixels may take another class; null where they fit.
 *
 * Where a share of the classes flips, the mean moves by that share of the span of both sides at most.
 */
private fun meansApart(
    expected: List<Expected>,
    actual: List<TensorValue>,
    tolerance: Tolerance,
): Comparison? {
    val loose = expected.indices.filter { !expected[it].isWhole && !expected[it].held.dtype.isFloat }
    if (tolerance.flips == 0.0 || loose.isEmpty()) return null
    var apart = 0.0
    var fits = true
    for (index in loose) {
        val stated = expected[index].figures
        val (low, high, mean) = stated ?: Figures(null, null, null)
        if (low == null || high == null || mean == null) return Comparison(Problem.EMPTY, "an output states no figures")
        val here = figures(actual[index])
        val span = max(high, here.maximum ?: high) - min(low, here.minimum ?: low)
        val distance = abs(mean - (here.mean ?: mean))
        apart = max(apart, distance)
        fits = fits && distance <= tolerance.flips * span
    }
    return if (fits) null else Comparison(Problem.VALUES, "other classes where no place is held", apart)
}

/** The smallest, largest and mean finite value of [tensor], nulls where none is, and how many are not finite. */
fun figures(tensor: TensorValue): Figures {
    var minimum = Double.POSITIVE_INFINITY
    var maximum = Double.NEGATIVE_INFINITY
    var sum = 0.0
    var count = 0
    for (index in 0 until tensor.count) {
        val value = tensor.double(index)
        if (!value.isFinite()) continue
        if (value < minimum) minimum = value
        if (value > maximum) maximum = value
        sum += value
        count++
    }
    val nonfinite = tensor.count - count
    return if (count == 0) Figures(null, null, null, nonfinite) else Figures(minimum, maximum, sum / count, nonfinite)
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

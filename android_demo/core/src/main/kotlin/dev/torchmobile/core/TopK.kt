package dev.torchmobile.core

/**
 * Return the indices of the [k] highest [scores], best first.
 *
 * Ties go to the lower index, NaN comes after every number.
 */
fun topK(
    scores: DoubleArray,
    k: Int,
): List<Int> {
    // Not Double's own order: it puts NaN first and tells -0.0 from 0.0.
    val order =
        Comparator<Int> { a, b ->
            val one = scores[a]
            val other = scores[b]
            when {
                one > other -> -1
                one < other -> 1
                one.isNaN() != other.isNaN() -> if (one.isNaN()) 1 else -1
                else -> a.compareTo(b)
            }
        }
    return scores.indices.sortedWith(order).take(k)
}

package dev.torchmobile.core

/** The median of [samples]: of an even count the mean of the middle two. */
fun median(samples: List<Double>): Double {
    require(samples.isNotEmpty()) { "no samples" }
    val ordered = samples.sorted()
    val middle = ordered.size / 2
    return if (ordered.size % 2 == 1) ordered[middle] else (ordered[middle - 1] + ordered[middle]) / 2
}

/** The 95th percentile, nearest rank: always a time that was measured. */
fun p95(samples: List<Double>): Double {
    require(samples.isNotEmpty()) { "no samples" }
    val rank = (samples.size * 95 + 99) / 100
    return samples.sorted()[maxOf(0, rank - 1)]
}

/** The last [size] latencies in ms. Immutable, so a screen state can hold it. */
data class LatencyWindow(
    val size: Int = 20,
    val samples: List<Double> = emptyList(),
) {
    val median: Double? get() = samples.takeIf { it.isNotEmpty() }?.let(::median)

    operator fun plus(sample: Double) = copy(samples = (samples + sample).takeLast(size))
}

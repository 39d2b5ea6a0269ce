package dev.torchmobile.core

private const val KEPT = 16
private const val NANOSECONDS = 1e9

/** How many answers come a second: of the last 16. Not for several threads. */
class FrameRate {
    private val times = LongArray(KEPT)
    private var count = 0

    /** Note an answer at [nanoseconds] of a clock that only goes on; null until there are two. */
    fun tick(nanoseconds: Long): Double? {
        times[count % KEPT] = nanoseconds
        count++
        val spans = minOf(count, KEPT) - 1
        if (spans < 1) return null
        val since = nanoseconds - times[(count - 1 - spans) % KEPT]
        return if (since > 0) spans * NANOSECONDS / since else null
    }
}

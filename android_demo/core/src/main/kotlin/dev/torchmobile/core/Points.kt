package dev.torchmobile.core

/**
 * A key point on a photo, in its pixels.
 *
 * [row] counts all points of the output, [index] those of one thing; [score] is null where none is given.
 */
data class KeyPoint(
    val row: Int,
    val index: Int,
    val label: String,
    val place: Place,
    val score: Double?,
) {
    /** Whether nothing says that the point may not be there. */
    val isSure: Boolean get() = score == null || score >= SURE

    /** Where it is, and how sure. */
    val text: String
        get() {
            val where = "${decimal(place.x)}, ${decimal(place.y)}"
            return if (score == null) where else "$where (${if (score in 0.0..1.0) percent(score) else decimal(score)})"
        }
}

private const val SURE = 0.5

/**
 * Read points out of [output], placed on the photo; null where it has none to place.
 *
 * Along the last axis are x, y and perhaps a score. What is not finite, or not on the photo, is left out.
 * [labels] name the points of one thing, the axis before the last, where there are as many.
 */
internal fun keyPoints(
    output: Output,
    labels: List<String>?,
    placement: Placement,
): List<KeyPoint>? {
    val shape = output.value.shape
    val space = output.spec.space ?: return null
    val size = shape.lastOrNull()?.toInt()
    if (output.spec.holds != Holds.KEYPOINTS || size == null || size !in 2..3) return null
    val count = if (shape.size > 1) shape[shape.size - 2].toInt() else 1
    val names = labels?.takeIf { it.size == count }
    return (0 until output.value.count / size).mapNotNull { row ->
        val numbers = List(size) { output.value.double(size * row + it) }
        if (!numbers.all { it.isFinite() }) return@mapNotNull null
        val given = Place(numbers[0], numbers[1])
        val place = if (space == Space.PHOTO) given else placement.toPhoto(given.x, given.y)
        val isOnPhoto = place.x in 0.0..placement.width.toDouble() && place.y in 0.0..placement.height.toDouble()
        val index = row % count
        KeyPoint(row, index, names?.get(index) ?: "point $index", place, numbers.getOrNull(2)).takeIf { isOnPhoto }
    }
}

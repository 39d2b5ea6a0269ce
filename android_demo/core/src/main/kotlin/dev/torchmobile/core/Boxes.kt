package dev.torchmobile.core

import kotlin.math.abs

/**
 * Something found: its [box] on the photo, its class, and its score, null where none is given.
 *
 * [row] is its place among the model's boxes; [text] the score in words.
 */
data class Detection(
    val row: Int,
    val box: Box,
    val classIndex: Int?,
    val label: String,
    val score: Double?,
    val text: String? = null,
) {
    /** That of its class; what has none is drawn as the first. */
    val color: Int get() = classColor(classIndex ?: 0)
}

private const val EDGES = 4

/**
 * Read boxes with their classes and scores out of [outputs], best first; null where there are none to place.
 *
 * Boxes are x1, y1, x2, y2, placed on the photo and cut at its edges; what has no area there, or a score
 * that is not finite, is left out.
 * Scores without a class axis are those of the boxes; with one, the best class and its score count.
 */
internal fun detections(
    outputs: List<Output>,
    labels: List<String>?,
    placement: Placement,
): Content.Boxes? {
    val boxes = outputs.firstOrNull { it.spec.holds == Holds.BOXES } ?: return null
    val space = boxes.spec.space ?: return null
    if (boxes.value.shape.lastOrNull() != EDGES.toLong()) return null
    val count = boxes.value.count / EDGES
    val scores = outputs.firstOrNull { it.spec.holds.ranks && places(it) == count }
    val indices = outputs.firstOrNull { it.spec.holds == Holds.CLASS_INDEX && it.value.count == count }
    val axis = scores?.spec?.classAxis
    val best = if (scores != null && axis != null) bestClasses(scores.value, axis) else null
    // Labels of another number than the class axis has places are another output's.
    val names = labels?.takeIf { best == null || axis == null || it.size.toLong() == scores?.value?.shape?.get(axis) }
    val found =
        (0 until count)
            .mapNotNull { index ->
                val box = boxAt(boxes.value, index, space, placement) ?: return@mapNotNull null
                val kind = best?.get(index) ?: indices?.value?.let { wholeAt(it, index) }
                val score =
                    when {
                        scores == null -> null
                        axis == null || best == null -> scores.value.double(index)
                        else -> scoreAt(scores.value, axis, index, best[index])
                    }
                if (score?.isFinite() == false) return@mapNotNull null
                Detection(index, box, kind, kind?.let { names?.getOrNull(it) ?: "class $it" } ?: "box", score)
            }.sortedByDescending { it.score ?: 0.0 }
    val range = if (scores == null) null else scoreRange(found.mapNotNull { it.score })
    return Content.Boxes(found.map { it.copy(text = it.score?.let { score -> words(score, range) }) }, range)
}

private fun words(
    score: Double,
    range: ClosedFloatingPointRange<Double>?,
) = if (range == SHARES) percent(score) else decimal(score)

private val SHARES = 0.0..1.0

/** The scores a threshold is chosen from: 0 to 1 where they are shares, else from the least to the largest. */
internal fun scoreRange(scores: List<Double>): ClosedFloatingPointRange<Double> {
    if (scores.all { it in SHARES }) return SHARES
    val (low, high) = scores.min() to scores.max()
    // A slider needs two ends.
    return if (low < high) low..high else low - 0.5..high + 0.5
}

private fun wholeAt(
    value: TensorValue,
    index: Int,
): Int? = value.double(index).takeIf { it == Math.rint(it) && abs(it) <= Int.MAX_VALUE }?.toInt()

/** How many things an output has scores for: all its numbers, or those of a class. */
private fun places(output: Output): Int {
    val axis = output.spec.classAxis ?: return output.value.count
    val classes = output.value.shape.getOrNull(axis) ?: return 0
    return if (classes == 0L) 0 else (output.value.count / classes).toInt()
}

private fun scoreAt(
    value: TensorValue,
    axis: Int,
    place: Int,
    index: Int,
): Double {
    val classes = value.shape[axis].toInt()
    val inner =
        value.shape
            .drop(axis + 1)
            .fold(1L, Long::times)
            .toInt()
    return value.double((place / inner * classes + index) * inner + place % inner)
}

private fun boxAt(
    value: TensorValue,
    index: Int,
    space: Space,
    placement: Placement,
): Box? {
    val (left, top, right, bottom) = List(EDGES) { value.double(EDGES * index + it) }
    if (!(left + top + right + bottom).isFinite()) return null
    val box = Box(left, top, right, bottom)
    val placed = if (space == Space.PHOTO) box.cutTo(placement.height, placement.width) else placement.boxToPhoto(box)
    return placed.takeIf { it.right > it.left && it.bottom > it.top }
}

package dev.torchmobile.core

import kotlin.math.abs
import kotlin.math.max
import kotlin.math.min

/** What decides which boxes a detector gives; null where nobody said. */
data class DetectionLimits(
    val scoreThreshold: Double? = null,
    val iouThreshold: Double? = null,
    val maxDetections: Int? = null,
)

/**
 * Which outputs are of the boxes that were found: [boxes], [scores] and [classes] by their place, and all
 * [rows] with a row for each box. [detection] is what decides which boxes there are.
 */
data class FoundRows(
    val boxes: Int,
    val scores: Int,
    val classes: Int?,
    val rows: List<Int>,
    val detection: DetectionLimits?,
)

private val SCORES = setOf(Holds.PROBABILITIES, Holds.SCORES, Holds.VALUES)
private val EACH_BOX = listOf("boxes")

/** Find boxes with a score each among [outputs]; null where there are none. */
fun foundRows(
    outputs: List<OutputTensor>,
    detection: DetectionLimits?,
): FoundRows? {
    val boxes = outputs.indexOfFirst { it.holds == Holds.BOXES }
    val rows = outputs.indices.filter { outputs[it].axes.firstOrNull() == "boxes" }
    val scores = rows.firstOrNull { outputs[it].axes == EACH_BOX && outputs[it].holds in SCORES }
    val classes = outputs.indexOfFirst { it.holds == Holds.CLASS_INDEX }.takeIf { it >= 0 }
    return if (boxes < 0 || scores == null) null else FoundRows(boxes, scores, classes, rows, detection)
}

/** Read `output.detection` of the metadata. */
internal fun detection(output: JsonNode): DetectionLimits? =
    output.optional("detection")?.let { node ->
        val most = node.optional("max_detections")?.int()
        if (most != null && most < 1) node.field("max_detections").wrong("above zero")
        DetectionLimits(node.optional("score_threshold")?.double(), node.optional("iou_threshold")?.double(), most)
    }

// Scores of 0 to 1 that lie so near to each other say nothing of which box is the better one.
private const val NEAR = 1e-3

// As many boxes may be without a partner, or one in so many of those of both sides.
private const val FEW = 2
private const val ONE_IN = 50

// Suppression class by class moves the boxes of each class apart, and float32 rounds what comes out.
private const val ROUNDED = 1.0 / (1 shl 23)

/**
 * Put [actual] in the order of [expected], box by box, and leave out of both what rounding gave to one.
 *
 * The same rules as `runtime_check.found` and `runtime_check.lone`: boxes of one class whose scores are
 * near are paired by where they lie, scores stay in their places; a box may be without a partner where
 * its score lies at the threshold, where the other side is full and has none lower, and where its overlap
 * with a better one lies at the limit.
 */
internal fun pairBoxes(
    found: FoundRows,
    expected: List<TensorValue>,
    actual: List<TensorValue>,
    tolerance: Tolerance,
): Pair<List<TensorValue>, List<TensorValue>> {
    var one = expected
    var other = actual
    val sides = sidesOf(found, one, other)
    if (sides != null && found.detection != null) {
        val (left, right) = sides
        leaveOut(left, right, found.detection, Slack(found, tolerance))?.let { (kept, keptThere) ->
            one = one.mapIndexed { index, tensor -> if (index in found.rows) tensor.rows(kept) else tensor }
            other = other.mapIndexed { index, tensor -> if (index in found.rows) tensor.rows(keptThere) else tensor }
        }
    }
    if (one.map { it.shape } != other.map { it.shape }) return one to other
    val (left, right) = sidesOf(found, one, other) ?: return one to other
    val places = partners(left, right, Slack(found, tolerance).near) { Double.POSITIVE_INFINITY }
    // Rows without a partner are given what is left over.
    val leftOver = right.indices.filter { it !in places }.iterator()
    val order = places.map { if (it >= 0) it else leftOver.next() }
    return one to
        other.mapIndexed { index, tensor ->
            if (index in found.rows && index != found.scores) tensor.rows(order) else tensor
        }
}

/** What may differ: boxes in pixels, scores, and the share of either. */
private class Slack(
    found: FoundRows,
    private val tolerance: Tolerance,
) {
    private val boxes = tolerance.atolOf(found.boxes)
    private val scores = tolerance.atolOf(found.scores)
    val near = max(NEAR, scores)

    fun ofBox(coordinate: Double) = boxes + tolerance.rtol * abs(coordinate)

    fun ofScore(score: Double) = scores + tolerance.rtol * abs(score)
}

/** The boxes of one side in float64; [classes] are zeros where there are none. */
private class Side(
    val boxes: DoubleArray,
    val scores: DoubleArray,
    val classes: DoubleArray,
) {
    val indices get() = scores.indices
    val lone = mutableSetOf<Int>()

    fun largest(row: Int) = (0..3).maxOf { abs(boxes[4 * row + it]) }

    fun width(row: Int) = boxes[4 * row + 2] - boxes[4 * row]

    fun height(row: Int) = boxes[4 * row + 3] - boxes[4 * row + 1]
}

private fun sidesOf(
    found: FoundRows,
    one: List<TensorValue>,
    other: List<TensorValue>,
): Pair<Side, Side>? = sideOf(found, one)?.let { left -> sideOf(found, other)?.let { left to it } }

private fun sideOf(
    found: FoundRows,
    tensors: List<TensorValue>,
): Side? {
    val boxes = tensors[found.boxes]
    if (boxes.shape.size != 2 || boxes.shape[1] != 4L) return null
    if (found.rows.any { tensors[it].shape.firstOrNull() != boxes.shape[0] }) return null
    val classes = found.classes?.let { tensors[it].doubles() } ?: DoubleArray(boxes.shape[0].toInt())
    return Side(boxes.doubles(), tensors[found.scores].doubles(), classes)
}

/** Which row of [other] is the partner of each row of [one]; -1 where none is. */
private fun partners(
    one: Side,
    other: Side,
    near: Double,
    within: (Double) -> Double,
): IntArray {
    val places = IntArray(one.scores.size) { -1 }
    for (row in one.indices) {
        var nearest = Double.POSITIVE_INFINITY
        for (candidate in other.indices) {
            val alike = one.classes[row] == other.classes[candidate]
            if (!alike || !(abs(one.scores[row] - other.scores[candidate]) <= near)) continue
            if (places.take(row).contains(candidate)) continue
            val offsets = DoubleArray(4) { abs(one.boxes[4 * row + it] - other.boxes[4 * candidate + it]) }
            if (!(0..3).all { offsets[it] <= within(one.boxes[4 * row + it]) }) continue
            if (offsets.max() < nearest) {
                nearest = offsets.max()
                places[row] = candidate
            }
        }
    }
    return places
}

/** The rows of both sides that are compared; null where all are, or some should have a partner. */
private fun leaveOut(
    one: Side,
    other: Side,
    limits: DetectionLimits,
    slack: Slack,
): Pair<List<Int>, List<Int>>? {
    val places = partners(one, other, slack.near, slack::ofBox)
    one.lone += one.indices.filter { places[it] < 0 }
    other.lone += other.indices.filter { it !in places }
    val count = one.lone.size + other.lone.size
    val most = max(FEW, (one.scores.size + other.scores.size) / ONE_IN)
    if (count == 0 || count > most) return null
    val explained =
        one.lone.all { mayBeMissing(one, it, other, limits, slack) } &&
            other.lone.all { mayBeMissing(other, it, one, limits, slack) }
    if (!explained) return null
    return one.indices.filter { it !in one.lone } to other.indices.filter { it !in other.lone }
}

/**
 * Whether [there] may be without the box in this [row].
 *
 * Better boxes without a partner are asked for too, by the caller: all have to be explained.
 */
private fun mayBeMissing(
    here: Side,
    row: Int,
    there: Side,
    limits: DetectionLimits,
    slack: Slack,
): Boolean {
    val score = here.scores[row]
    val near = slack.ofScore(score)
    if (limits.scoreThreshold?.let { abs(score - it) <= near } == true) return true
    val full = limits.maxDetections?.let { there.scores.size >= it } ?: false
    if (full && score <= there.scores.min() + near) return true
    val limit = limits.iouThreshold ?: return false
    return there.indices.any { other ->
        if (there.scores[other] < score - near || there.classes[other] != here.classes[row]) return@any false
        val (iou, unsure) = overlap(here, row, there, other, slack)
        abs(iou - limit) <= unsure || (other in there.lone && there.scores[other] > score && iou > limit)
    }
}

/** Intersection over union of two boxes, and how far rounding moves that; see `runtime_check.lone`. */
private fun overlap(
    here: Side,
    row: Int,
    there: Side,
    other: Int,
    slack: Slack,
): Pair<Double, Double> {
    fun shared(axis: Int): Double {
        val low = max(here.boxes[4 * row + axis], there.boxes[4 * other + axis])
        return max(0.0, min(here.boxes[4 * row + axis + 2], there.boxes[4 * other + axis + 2]) - low)
    }
    val intersection = shared(0) * shared(1)
    val areas = here.width(row) * here.height(row) + there.width(other) * there.height(other)
    val union = areas - intersection
    if (!(union > 0)) return 0.0 to 0.0
    val iou = intersection / union
    val largest = max(here.largest(row), there.largest(other))
    val moved = slack.ofBox(largest) + ROUNDED * (1 + here.classes[row]) * (1 + largest)
    val lengths = here.width(row) + here.height(row) + there.width(other) + there.height(other)
    return iou to moved * lengths * (1 + 3 * iou) / union
}

/** The rows of a tensor at these places of its first dimension. */
private fun TensorValue.rows(picked: List<Int>): TensorValue {
    val size = bytes.size / max(1, shape[0].toInt())
    val taken = ByteArray(size * picked.size)
    picked.forEachIndexed { at, row -> bytes.copyInto(taken, at * size, row * size, (row + 1) * size) }
    return TensorValue(dtype, listOf(picked.size.toLong()) + shape.drop(1), taken)
}

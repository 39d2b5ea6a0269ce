package dev.torchmobile.core

/** A picture to show: [argb] holds opaque `0xAARRGGBB`, [height] x [width], in C order. */
class ArgbImage(
    val height: Int,
    val width: Int,
    val argb: IntArray,
)

/** A class in a picture: its name, its color (null: not drawn), and its share of what was judged, 0 to 1. */
data class LegendEntry(
    val index: Int,
    val label: String,
    val color: Int?,
    val share: Double,
) {
    /** The share in words. */
    val text: String get() = percent(share)
}

/** A class for every cell of a map of [rows] x [columns] that lies on [space]. */
internal class ClassCells(
    val rows: Int,
    val columns: Int,
    val space: Space,
    val classes: IntArray,
    private val names: List<String>,
) {
    fun label(index: Int): String = names.getOrNull(index) ?: "class $index"

    /** Not drawn: a class below zero, and class 0 where it is called the background. */
    fun isClear(index: Int): Boolean = index < 0 || (index == 0 && names.firstOrNull() in BACKGROUND)
}

// In place of a class that is no number.
private const val NO_CLASS = -1

// Of a map that was put onto the photo: a pixel that the network does not see, and the number for it there.
private const val UNSEEN = -2
private const val UNSEEN_ON_PHOTO = 255

private val BACKGROUND = setOf("background", "__background__")

/**
 * Read a class for every pixel out of [output]; null where it is no such map.
 *
 * The best class along the class axis (the lower one of equals, never NaN), or the numbers of a class map.
 * A mask, and scores of one class, are class 1 above 0.5 (scores and logits above 0), else 0: the labels
 * where there are two, or the background and the one label there is.
 */
internal fun classMap(
    output: Output,
    labels: List<String>?,
): ClassCells? {
    val spec = output.spec
    val value = output.value
    val (rows, columns) = mapSize(output) ?: return null
    val space = spec.space ?: return null
    val axis = spec.classAxis
    val single = axis != null && value.shape[axis] == 1L
    val above = if (spec.holds == Holds.SCORES || spec.holds == Holds.LOGITS) 0.0 else 0.5
    val classes =
        when {
            spec.holds == Holds.CLASS_MAP -> {
                IntArray(value.count) { classAt(value.double(it), space) }
            }

            spec.holds == Holds.MASK || single -> {
                IntArray(value.count) { if (value.double(it) > above) 1 else 0 }
            }

            axis != null -> {
                bestClasses(value, axis)
            }

            else -> {
                return null
            }
        }
    if (classes.size != rows * columns) return null
    val binary = spec.holds == Holds.MASK || single
    val names =
        when {
            binary && labels?.size != 2 -> listOf("background", labels?.singleOrNull() ?: "mask")

            // Labels of another number than the class axis has places are another output's.
            !binary && axis != null && labels?.size?.toLong() != value.shape[axis] -> emptyList()

            else -> labels.orEmpty()
        }
    return ClassCells(rows, columns, space, classes, names)
}

private fun classAt(
    number: Double,
    space: Space,
): Int =
    when {
        !number.isFinite() || number != Math.rint(number) -> NO_CLASS
        space == Space.PHOTO && number.toInt() == UNSEEN_ON_PHOTO -> UNSEEN
        else -> number.toInt()
    }

/** Rows and columns of a map: the axes H and W, in that order; null where there are none. */
private fun mapSize(output: Output): Pair<Int, Int>? {
    val axes = output.spec.axes
    val shape = output.value.shape
    val row = axes.indexOf("H")
    val column = axes.indexOf("W")
    return if (axes.size != shape.size || row < 0 || column < row || output.value.count == 0) {
        null
    } else {
        shape[row].toInt() to shape[column].toInt()
    }
}

/** For each place of the other dimensions, in C order, the best class along [axis]. */
internal fun bestClasses(
    value: TensorValue,
    axis: Int,
): IntArray {
    val classes = value.shape[axis].toInt()
    val inner =
        value.shape
            .drop(axis + 1)
            .fold(1L, Long::times)
            .toInt()
    return IntArray(value.count / classes) { place ->
        val first = place / inner * classes * inner + place % inner
        var best = 0
        for (index in 1 until classes) {
            val score = value.double(first + index * inner)
            val held = value.double(first + best * inner)
            if (score > held || (held.isNaN() && !score.isNaN())) best = index
        }
        best
    }
}

/** Which row and column of a map lies below each row and column of a photo; -1: none does. */
private class Grid(
    placement: Placement,
    space: Space,
    rows: Int,
    columns: Int,
) {
    val rowAt =
        IntArray(placement.height) { y ->
            if (space == Space.PHOTO) (2 * y + 1) * rows / (2 * placement.height) else placement.rowOf(y, rows) ?: -1
        }
    val columnAt =
        IntArray(placement.width) { x ->
            if (space == Space.PHOTO) (2 * x + 1) * columns / (2 * placement.width) else placement.columnOf(x, columns) ?: -1
        }
}

/** Draw over each pixel of [image] what [color] gives for the map's cell below it; null: the photo. */
private fun drawn(
    image: RgbImage,
    grid: Grid,
    columns: Int,
    color: (cell: Int, photo: Int) -> Int?,
): ArgbImage {
    val argb = image.argb()
    for (y in 0 until image.height) {
        val row = grid.rowAt[y]
        if (row < 0) continue
        for (x in 0 until image.width) {
            val column = grid.columnAt[x]
            if (column < 0) continue
            val at = y * image.width + x
            color(row * columns + column, argb[at])?.let { argb[at] = it }
        }
    }
    return ArgbImage(image.height, image.width, argb)
}

/**
 * Draw [map] over [image], half transparent, and name the classes that are there.
 *
 * Shares are of the pixels that the network sees, the largest first.
 */
internal fun drawClasses(
    image: RgbImage,
    map: ClassCells,
    placement: Placement,
): Pair<ArgbImage, List<LegendEntry>> {
    val counts = sortedMapOf<Int, Int>()
    val colors = HashMap<Int, Int>()
    val grid = Grid(placement, map.space, map.rows, map.columns)
    val picture =
        drawn(image, grid, map.columns) { cell, photo ->
            val index = map.classes[cell]
            if (index != UNSEEN) counts[index] = (counts[index] ?: 0) + 1
            if (map.isClear(index)) null else halfOver(colors.getOrPut(index) { classColor(index) }, photo)
        }
    val all = counts.values.sum().toDouble()
    val legend =
        counts.entries.filter { it.key >= 0 }.sortedByDescending { it.value }.map { (index, count) ->
            LegendEntry(index, map.label(index), if (map.isClear(index)) null else classColor(index), count / all)
        }
    return picture to legend
}

/** Draw a map of depths in place of [image] where there is one, or null where [output] is none. */
internal fun drawDepth(
    image: RgbImage,
    output: Output,
    placement: Placement,
): ArgbImage? {
    val (rows, columns) = mapSize(output) ?: return null
    val space = output.spec.space ?: return null
    val range = figures(output.value)
    val low = range.minimum
    val high = range.maximum
    if (output.value.count != rows * columns || low == null || high == null) return null
    val grid = Grid(placement, space, rows, columns)
    return drawn(image, grid, columns) { cell, _ ->
        val depth = output.value.double(cell)
        if (depth.isFinite()) depthColor(if (high > low) (depth - low) / (high - low) else 0.0) else null
    }
}

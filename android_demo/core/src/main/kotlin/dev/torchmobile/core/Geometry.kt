package dev.torchmobile.core

import kotlin.math.floor
import kotlin.math.max
import kotlin.math.min

/** A point in pixels. Continuous: the pixel at column x covers x to x + 1, its middle is x + 0.5. */
data class Place(
    val x: Double,
    val y: Double,
)

/** A box in pixels, continuous as [Place] is. */
data class Box(
    val left: Double,
    val top: Double,
    val right: Double,
    val bottom: Double,
)

/** A cell of a map: its row and column. */
data class Cell(
    val row: Int,
    val column: Int,
)

/**
 * Where one photo of [height] x [width] lies in the network's picture.
 *
 * The photo is resized to [resizedHeight] x [resizedWidth], and the network's upper left corner is at
 * ([top], [left]) of that, negative where the picture was padded. Numbers are those of Python's
 * `Placement`, to the bit: computed in the same order.
 */
data class Placement(
    val height: Int,
    val width: Int,
    val resizedHeight: Int,
    val resizedWidth: Int,
    val top: Int,
    val left: Int,
    val networkHeight: Int,
    val networkWidth: Int,
) {
    /** Map a point of the network's picture onto the photo; padding lies outside of it. */
    fun toPhoto(
        x: Double,
        y: Double,
    ) = Place((x + left) * width / resizedWidth, (y + top) * height / resizedHeight)

    /** Map a point of the photo onto the network's picture; what was cropped lies outside. */
    fun toNetwork(
        x: Double,
        y: Double,
    ) = Place(x * resizedWidth / width - left, y * resizedHeight / height - top)

    /** Map a box of the network's picture onto the photo, cut at the photo's edges. */
    fun boxToPhoto(box: Box): Box {
        val from = toPhoto(box.left, box.top)
        val to = toPhoto(box.right, box.bottom)
        return Box(from.x, from.y, to.x, to.y).cutTo(height, width)
    }

    /** The part of the photo that the network sees. */
    val seen: Box get() = boxToPhoto(Box(0.0, 0.0, networkWidth.toDouble(), networkHeight.toDouble()))

    /**
     * The cell, of a map of [rows] x [columns] over the network's picture, below the photo's pixel at
     * column [x] and row [y]; null where the network does not see it.
     */
    fun cellOf(
        x: Int,
        y: Int,
        rows: Int,
        columns: Int,
    ): Cell? {
        val row = rowOf(y, rows) ?: return null
        val column = columnOf(x, columns) ?: return null
        return Cell(row, column)
    }

    /** The row of [cellOf], which no column changes. */
    fun rowOf(
        y: Int,
        rows: Int,
    ): Int? = within(toNetwork(0.0, y + 0.5).y * rows / networkHeight, rows)

    /** The column of [cellOf], which no row changes. */
    fun columnOf(
        x: Int,
        columns: Int,
    ): Int? = within(toNetwork(x + 0.5, 0.0).x * columns / networkWidth, columns)

    private fun within(
        place: Double,
        count: Int,
    ): Int? = floor(place).takeIf { it >= 0 && it < count }?.toInt()

    /** Where on the photo the middle of a map's cell lies. */
    fun middleOf(
        row: Int,
        column: Int,
        rows: Int,
        columns: Int,
    ) = toPhoto((column + 0.5) * networkWidth / columns, (row + 0.5) * networkHeight / rows)
}

/** The box without what lies outside of a picture of [height] x [width]. */
fun Box.cutTo(
    height: Int,
    width: Int,
) = Box(
    min(max(left, 0.0), width.toDouble()),
    min(max(top, 0.0), height.toDouble()),
    min(max(right, 0.0), width.toDouble()),
    min(max(bottom, 0.0), height.toDouble()),
)

/** How a photo is resized: until it covers a size, until it fits inside, or to exactly that size. */
enum class Resize { COVER, FIT, STRETCH }

/** How the side that keeps the ratio becomes whole: cut off, or to the nearest, halves to even. */
enum class Rounding { DOWN, EVEN }

/** How a photo becomes the network's picture: resized, then cropped or padded about its middle. */
data class Geometry(
    val resize: Resize,
    val resizeHeight: Int,
    val resizeWidth: Int,
    val networkHeight: Int,
    val networkWidth: Int,
    val rounding: Rounding,
) {
    /** Place a photo of [height] x [width] pixels. */
    fun place(
        height: Int,
        width: Int,
    ): Placement {
        val (tall, wide) = resized(height, width)
        return Placement(
            height,
            width,
            tall,
            wide,
            margin(tall, networkHeight),
            margin(wide, networkWidth),
            networkHeight,
            networkWidth,
        )
    }

    private fun resized(
        height: Int,
        width: Int,
    ): Pair<Int, Int> {
        if (resize == Resize.STRETCH) return resizeHeight to resizeWidth
        if (rounding == Rounding.DOWN) {
            // The short edge becomes `resize`, the long one is cut off.
            return if (width <= height) {
                scaled(resizeWidth, height, width) to resizeWidth
            } else {
                resizeHeight to scaled(resizeHeight, width, height)
            }
        }
        val down = height.toDouble() / resizeHeight
        val across = width.toDouble() / resizeWidth
        val ratio = if (resize == Resize.FIT) max(down, across) else min(down, across)
        // Math.rint: halves to even, as Python rounds.
        return max(1, Math.rint(height / ratio).toInt()) to max(1, Math.rint(width / ratio).toInt())
    }

    private fun scaled(
        edge: Int,
        long: Int,
        short: Int,
    ) = ((edge.toLong() * long).toDouble() / short).toInt()
}

/** Where the network's edge lies on a resized side, negative where it is padded. */
private fun margin(
    resized: Int,
    network: Int,
): Int =
    if (resized < network) {
        -((network - resized) / 2)
    } else {
        Math.rint((resized - network) / 2.0).toInt()
    }

internal fun geometry(node: JsonNode): Geometry {
    fun side(name: String) = node.field(name).side()
    val made =
        Geometry(
            resize = node.field("resize").oneOf(Resize.entries) { it.name.lowercase() },
            resizeHeight = side("resize_height"),
            resizeWidth = side("resize_width"),
            networkHeight = side("network_height"),
            networkWidth = side("network_width"),
            rounding = node.field("rounding").oneOf(Rounding.entries) { it.name.lowercase() },
        )
    // Resizing one edge to a length says nothing of a second length, or of what fits inside.
    val square = made.resize == Resize.COVER && made.resizeHeight == made.resizeWidth
    if (made.rounding == Rounding.DOWN && made.resize != Resize.STRETCH && !square) {
        node.fault("rounding down goes with covering a square")
    }
    return made
}

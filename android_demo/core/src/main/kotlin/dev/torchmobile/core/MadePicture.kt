package dev.torchmobile.core

import kotlin.math.floor

// What the numbers of a picture usually reach from and to, and how far beyond, as a share of that.
private val RANGES = listOf(0.0 to 1.0, -1.0 to 1.0, 0.0 to 255.0)
private const val SPARE = 0.25
private val CHANNELS = setOf(1, 3, 4)

/**
 * Read the picture out of [output]: one, three or four channels, the fourth left out; null for others.
 *
 * Bytes are as they are. Of other numbers black and white are the first of [RANGES] that holds all
 * finite ones, with a quarter of its length to spare at both ends, or else the smallest and largest.
 */
internal fun madePicture(output: Output): Content.Picture? {
    val value = output.value
    val axes = output.spec.axes
    val row = axes.indexOf("H")
    val column = axes.indexOf("W")
    if (output.spec.holds != Holds.IMAGE || axes.size != value.shape.size || row < 0 || column < 0 || value.count == 0) return null
    val others = value.shape.indices.filter { it != row && it != column && value.shape[it] != 1L }
    val channels = others.singleOrNull()
    val count = channels?.let { value.shape[it].toInt() } ?: 1
    val (black, white) = blackAndWhite(value) ?: return null
    if (others.size > 1 || count !in CHANNELS) return null

    fun stride(axis: Int): Int =
        value.shape
            .drop(axis + 1)
            .fold(1L, Long::times)
            .toInt()
    val (down, across) = stride(row) to stride(column)
    val step = channels?.let(::stride) ?: 0
    val (height, width) = value.shape[row].toInt() to value.shape[column].toInt()
    val argb =
        IntArray(height * width) { pixel ->
            val first = pixel / width * down + pixel % width * across
            (0 until 3).fold(OPAQUE) { color, channel -> (color shl 8) or level(value.double(first + channel * step), black, white) }
        }
    return Content.Picture(ArgbImage(height, width, argb), black, white, output.spec.unit)
}

private const val OPAQUE = 0xFF

/** Which numbers of [value] are black and white; null where none is finite. */
private fun blackAndWhite(value: TensorValue): Pair<Double, Double>? {
    val range = figures(value)
    val least = range.minimum ?: return null
    val most = range.maximum ?: return null
    if (value.dtype == Dtype.UINT8) return 0.0 to 255.0
    return RANGES.firstOrNull { (low, high) ->
        val spare = SPARE * (high - low)
        low - spare <= least && most <= high + spare
    } ?: (least to most)
}

private fun level(
    value: Double,
    black: Double,
    white: Double,
): Int {
    if (!value.isFinite() || white == black) return 0
    return floor(255.0 * ((value - black) / (white - black)).coerceIn(0.0, 1.0) + 0.5).toInt()
}

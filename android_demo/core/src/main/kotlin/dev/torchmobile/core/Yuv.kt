package dev.torchmobile.core

import java.nio.ByteBuffer
import kotlin.math.roundToInt

/** One plane of a camera frame: sample (x, y) lies at `y * rowStride + x * pixelStride`. */
class Plane(
    val data: ByteBuffer,
    val rowStride: Int,
    val pixelStride: Int,
) {
    fun at(
        x: Int,
        y: Int,
    ): Int = data.get(y * rowStride + x * pixelStride).toInt() and 0xFF
}

/**
 * Converts frames of a camera, one after the other into the same memory: a frame allocates nothing but
 * what is smaller than 1 kB, once the first of its size was read.
 */
class FrameReader {
    private var kept: RgbImage? = null

    /**
     * Convert a YUV 4:2:0 frame of [width] x [height] to RGB, turned upright by its EXIF [orientation].
     *
     * The chroma of each 2 x 2 block is repeated. BT.601 with the full range, as JPEG (JFIF 1.02) has it and
     * Android's camera delivers it. The image is good until the next call.
     */
    fun read(
        width: Int,
        height: Int,
        luma: Plane,
        blue: Plane,
        red: Plane,
        orientation: Int = 1,
    ): RgbImage {
        val isSwapped = orientation in 5..8
        val rows = if (isSwapped) width else height
        val columns = if (isSwapped) height else width
        val image =
            kept?.takeIf { it.height == rows && it.width == columns }
                ?: RgbImage(rows, columns, ByteArray(3 * rows * columns)).also { kept = it }
        val walk = Walk.of(orientation, width, height)
        val bytes = image.bytes
        var at = 0
        for (row in 0 until rows) {
            var x = walk.x + row * walk.downX
            var y = walk.y + row * walk.downY
            for (column in 0 until columns) {
                val light = luma.at(x, y).toDouble()
                val cb = blue.at(x / 2, y / 2) - CENTER
                val cr = red.at(x / 2, y / 2) - CENTER
                bytes[at++] = level(light + 1.402 * cr)
                bytes[at++] = level(light - 0.344136 * cb - 0.714136 * cr)
                bytes[at++] = level(light + 1.772 * cb)
                x += walk.acrossX
                y += walk.acrossY
            }
        }
        return image
    }
}

/** The EXIF orientation that turns an image clockwise by [degrees], a multiple of 90. */
fun orientationOf(degrees: Int): Int =
    when ((degrees % 360 + 360) % 360) {
        90 -> 6
        180 -> 3
        270 -> 8
        else -> 1
    }

private const val CENTER = 128

private fun level(value: Double): Byte = value.roundToInt().coerceIn(0, 255).toByte()

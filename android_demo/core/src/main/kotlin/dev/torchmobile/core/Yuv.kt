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
 * Convert a YUV 4:2:0 frame of [width] x [height] to RGB, the chroma of each 2 x 2 block repeated.
 *
 * BT.601 with the full range, as JPEG (JFIF 1.02) has it and Android's camera delivers it.
 */
fun yuvImage(
    width: Int,
    height: Int,
    luma: Plane,
    blue: Plane,
    red: Plane,
): RgbImage {
    val bytes = ByteArray(3 * height * width)
    var at = 0
    for (y in 0 until height) {
        for (x in 0 until width) {
            val light = luma.at(x, y).toDouble()
            val cb = blue.at(x / 2, y / 2) - CENTER
            val cr = red.at(x / 2, y / 2) - CENTER
            bytes[at++] = level(light + 1.402 * cr)
            bytes[at++] = level(light - 0.344136 * cb - 0.714136 * cr)
            bytes[at++] = level(light + 1.772 * cb)
        }
    }
    return RgbImage(height, width, bytes)
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

package dev.torchmobile.core

import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test
import java.nio.ByteBuffer
import kotlin.math.abs

class YuvTest {
    private fun plane(
        rowStride: Int,
        pixelStride: Int,
        vararg bytes: Int,
    ) = Plane(ByteBuffer.wrap(ByteArray(bytes.size) { bytes[it].toByte() }), rowStride, pixelStride)

    /** YCbCr and RGB, by Pillow's `convert` (JFIF as well, in whole numbers). */
    private val known =
        mapOf(
            listOf(0, 128, 128) to listOf(0, 0, 0),
            listOf(255, 128, 128) to listOf(255, 255, 255),
            listOf(76, 85, 255) to listOf(254, 0, 0),
            listOf(150, 44, 21) to listOf(0, 255, 1),
            listOf(29, 255, 107) to listOf(0, 0, 254),
            listOf(128, 0, 255) to listOf(255, 81, 0),
            listOf(200, 255, 0) to listOf(20, 247, 255),
            listOf(16, 16, 240) to listOf(173, 0, 0),
            listOf(235, 240, 16) to listOf(77, 255, 255),
            listOf(81, 90, 240) to listOf(238, 14, 13),
        )

    @Test
    fun `colors are Pillow's within one level`() {
        for ((yuv, rgb) in known) {
            val image = yuvImage(1, 1, plane(1, 1, yuv[0]), plane(1, 1, yuv[1]), plane(1, 1, yuv[2]))
            image.bytes.forEachIndexed { index, byte ->
                assertTrue("$yuv", abs((byte.toInt() and 0xFF) - rgb[index]) <= 1)
            }
        }
    }

    @Test
    fun `strides are skipped and chroma is shared by two by two pixels`() {
        // 3 x 2 pixels; luma rows are 5 bytes apart, chroma samples 2 (interleaved planes).
        val luma = plane(5, 1, 10, 20, 30, 99, 99, 40, 50, 60)
        val image = yuvImage(3, 2, luma, plane(4, 2, 128, 0, 128), plane(4, 2, 128, 0, 228))
        val red = List(6) { image.bytes[3 * it].toInt() and 0xFF }
        assertEquals(listOf(10, 20, 30 + 140, 40, 50, 60 + 140), red)
    }

    @Test
    fun `a turn by degrees is the EXIF orientation of that turn`() {
        assertEquals(listOf(1, 6, 3, 8), listOf(0, 90, 180, 270).map(::orientationOf))
        assertEquals(orientationOf(270), orientationOf(-90))
        val image = RgbImage(1, 2, byteArrayOf(1, 1, 1, 2, 2, 2))
        // Clockwise: the left pixel comes to the top.
        assertArrayEquals(image.bytes, image.upright(orientationOf(90)).bytes)
        assertEquals(2, image.upright(orientationOf(90)).height)
        assertArrayEquals(byteArrayOf(2, 2, 2, 1, 1, 1), image.upright(orientationOf(270)).bytes)
    }
}

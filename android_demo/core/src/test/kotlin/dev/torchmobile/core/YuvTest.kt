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
            val image = FrameReader().read(1, 1, plane(1, 1, yuv[0]), plane(1, 1, yuv[1]), plane(1, 1, yuv[2]))
            image.bytes.forEachIndexed { index, byte ->
                assertTrue("$yuv", abs((byte.toInt() and 0xFF) - rgb[index]) <= 1)
            }
        }
    }

    @Test
    fun `strides are skipped and chroma is shared by two by two pixels`() {
        // 3 x 2 pixels; luma rows are 5 bytes apart, chroma samples 2 (interleaved planes).
        val luma = plane(5, 1, 10, 20, 30, 99, 99, 40, 50, 60)
        val image = FrameReader().read(3, 2, luma, plane(4, 2, 128, 0, 128), plane(4, 2, 128, 0, 228))
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

    private fun noise(
        size: Int,
        seed: Int,
    ) = ByteBuffer.wrap(ByteArray(size).also { java.util.Random(seed.toLong()).nextBytes(it) })

    @Test
    fun `a turned frame is the frame, turned`() {
        val (luma, blue, red) = Triple(Plane(noise(48, 1), 8, 1), Plane(noise(12, 2), 4, 1), Plane(noise(12, 3), 4, 1))
        val plain = FrameReader().read(8, 6, luma, blue, red)
        // Turned by hand: where the upright (x, y) lies in the stored frame.
        val stored =
            mapOf<Int, (Int, Int) -> Pair<Int, Int>>(
                3 to { x, y -> 7 - x to 5 - y },
                6 to { x, y -> y to 5 - x },
                8 to { x, y -> 7 - y to x },
            )
        val reader = FrameReader()
        for ((orientation, place) in stored) {
            val image = reader.read(8, 6, luma, blue, red, orientation)
            assertEquals(if (orientation == 3) 6 to 8 else 8 to 6, image.height to image.width)
            for (y in 0 until image.height) {
                for (x in 0 until image.width) {
                    val (fromX, fromY) = place(x, y)
                    assertEquals("$orientation $x $y", plain.argb(fromY * 8 + fromX), image.argb(y * image.width + x))
                }
            }
        }
    }

    @Test
    fun `a frame allocates less than 1 kB in steady state`() {
        val threads =
            java.lang.management.ManagementFactory
                .getThreadMXBean() as com.sun.management.ThreadMXBean
        val (width, height) = 640 to 480
        val luma = noise(width * height, 1)
        val chroma = noise(width * height / 2, 2)
        val reader = FrameReader()
        var sum = 0

        fun frame() {
            val (first, second, third) = listOf(Plane(luma, width, 1), Plane(chroma, width, 2), Plane(chroma, width, 2))
            sum += reader.read(width, height, first, second, third, 6).bytes[0]
        }
        repeat(3) { frame() }
        val before = threads.getThreadAllocatedBytes(Thread.currentThread().id)
        repeat(FRAMES) { frame() }
        val each = (threads.getThreadAllocatedBytes(Thread.currentThread().id) - before) / FRAMES
        assertTrue("$each bytes a frame ($sum)", each < 1000)
        // And the measure can fail: a reader of its own for each frame needs the image.
        val fresh = threads.getThreadAllocatedBytes(Thread.currentThread().id)
        FrameReader().read(width, height, Plane(luma, width, 1), Plane(chroma, width, 2), Plane(chroma, width, 2))
        assertTrue(threads.getThreadAllocatedBytes(Thread.currentThread().id) - fresh > 3 * width * height)
    }

    @Test
    fun `frames a second are those of the last sixteen answers`() {
        val rate = FrameRate()
        assertEquals(null, rate.tick(5))
        assertEquals(10.0, checkNotNull(rate.tick(100_000_005)), 1e-9)
        // 0.1 s apart twenty times, then 0.05 s apart fifteen times: the slow ones are forgotten.
        var now = 100_000_005L
        repeat(20) {
            now += 100_000_000
            assertEquals(10.0, checkNotNull(rate.tick(now)), 1e-9)
        }
        var last = 0.0
        repeat(15) {
            now += 50_000_000
            last = checkNotNull(rate.tick(now))
        }
        assertEquals(20.0, last, 1e-9)
    }

    private companion object {
        const val FRAMES = 20
    }
}

package dev.torchmobile.demo

import android.net.Uri
import com.google.gson.JsonObject
import com.google.gson.JsonParser
import dev.torchmobile.core.BYTES_PER_PIXEL
import dev.torchmobile.core.Failure
import dev.torchmobile.core.RgbImage
import dev.torchmobile.core.VisionError
import dev.torchmobile.runtime.photos.photo
import dev.torchmobile.runtime.photos.photoOf
import dev.torchmobile.runtime.photos.toBitmap
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode
import java.io.ByteArrayOutputStream
import java.io.DataOutputStream
import java.lang.management.ManagementFactory
import java.nio.ByteBuffer
import java.util.Base64
import java.util.zip.CRC32
import java.util.zip.DeflaterOutputStream
import kotlin.math.abs

/** `tests/golden/photos.json`: the bytes that reach a model are Python's, whatever the photo. */
@RunWith(RobolectricTestRunner::class)
@Config(sdk = [35], application = TestApplication::class)
@GraphicsMode(GraphicsMode.Mode.NATIVE)
class PhotosScreensTest {
    private val vectors = JsonParser.parseString(golden("photos.json")).asJsonObject

    private fun decoded(text: String): ByteArray = Base64.getDecoder().decode(text)

    private fun read(
        name: String,
        bytes: ByteArray,
    ): RgbImage {
        val resolver = RuntimeEnvironment.getApplication().contentResolver
        val uri = Uri.parse("content://tests/$name")
        shadowOf(resolver).registerInputStreamSupplier(uri) { bytes.inputStream() }
        val photo = resolver.photo(uri)
        val image = photo.decode(1)
        assertEquals(listOf(photo.height, photo.width), listOf(image.height, image.width))
        return image
    }

    private fun farthest(
        expected: ByteArray,
        actual: ByteArray,
    ): Int {
        assertEquals(expected.size, actual.size)
        return expected.indices.maxOf { abs((expected[it].toInt() and 0xFF) - (actual[it].toInt() and 0xFF)) }
    }

    private fun problem(
        vector: JsonObject,
        image: RgbImage,
    ): String? {
        val levels = vector["levels"].asInt
        val size = vector["height"].asInt to vector["width"].asInt
        if (size != image.height to image.width) return "it is $size and not ${image.height to image.width}"
        val colors = farthest(decoded(vector["rgb"].asString), image.bytes)
        val opaque = ByteArray(image.height * image.width) { -1 }
        val alpha = farthest(decoded(vector["alpha"].asString), image.alpha ?: opaque)
        return if (colors > levels || alpha > levels) "colors differ by $colors, alpha by $alpha" else null
    }

    @Test
    fun `every kind of photo has the levels that Python reads`() {
        val all = vectors["photos"].asJsonArray.map { it.asJsonObject }
        assertTrue(all.size >= 15)
        val wrong =
            all.mapNotNull { vector ->
                val name = vector["name"].asString
                problem(vector, read(name, decoded(vector["bytes"].asString)))?.let { "$name: $it" }
            }
        assertEquals(emptyList<String>(), wrong)
    }

    @Test
    fun `a photo one pixel wide is read`() {
        val image = read("narrow.png", decoded(vectors["narrow"].asString))
        assertEquals(listOf(20, 1), listOf(image.height, image.width))
    }

    /** A gray PNG of [width] x [height] whose levels grow from left to right, written row by row. */
    private fun wedge(
        width: Int,
        height: Int,
    ): ByteArray {
        val row = ByteArray(width + 1) { if (it == 0) 0 else (255L * (it - 1) / width).toByte() }
        val packed = ByteArrayOutputStream()
        DeflaterOutputStream(packed).use { out -> repeat(height) { out.write(row) } }
        val file = ByteArrayOutputStream()
        val out = DataOutputStream(file)

        fun chunk(
            kind: String,
            data: ByteArray,
        ) {
            val body = kind.toByteArray() + data
            out.writeInt(data.size)
            out.write(body)
            out.writeInt(CRC32().apply { update(body) }.value.toInt())
        }
        out.writeLong(-0x76afb1b8f2f5e5f6L)
        chunk(
            "IHDR",
            ByteBuffer
                .allocate(13)
                .putInt(width)
                .putInt(height)
                .put(byteArrayOf(8, 0, 0, 0, 0))
                .array(),
        )
        chunk("IDAT", packed.toByteArray())
        chunk("IEND", ByteArray(0))
        return file.toByteArray()
    }

    @Test
    fun `fifty megapixels are decoded as small as the model allows, within the stated memory`() {
        val (width, height) = 8660 to 5774
        val bytes = wedge(width, height)
        val resolver = RuntimeEnvironment.getApplication().contentResolver
        val uri = Uri.parse("content://tests/large.png")
        shadowOf(resolver).registerInputStreamSupplier(uri) { bytes.inputStream() }
        val threads = ManagementFactory.getThreadMXBean() as com.sun.management.ThreadMXBean
        val before = threads.getThreadAllocatedBytes(Thread.currentThread().id)
        val photo = resolver.photo(uri)
        assertEquals(listOf(width, height), listOf(photo.width, photo.height))
        // As for a network of 224 pixels: the short side is 721 of 512 wanted.
        val image = photo.decode(8)
        val allocated = threads.getThreadAllocatedBytes(Thread.currentThread().id) - before
        assertTrue("${image.width}", image.width in listOf(width / 8, (width + 7) / 8))
        assertTrue("${image.height}", image.height in listOf(height / 8, (height + 7) / 8))
        for (x in 0 until image.width step 40) {
            val level = image.bytes[3 * x].toInt() and 0xFF
            assertTrue("$x: $level", abs(level - 255.0 * x / image.width) <= 2)
        }
        // The bitmap is besides, outside the heap of Java: 4 bytes a pixel of the 12.
        val pixels = image.height.toLong() * image.width
        assertTrue("${allocated / pixels} bytes a pixel", allocated < BYTES_PER_PIXEL * pixels)
    }

    @Test
    fun `what is no photo is refused in words`() {
        val error = assertThrows(VisionError::class.java) { read("text.png", "no picture".toByteArray()) }
        assertEquals(Failure.PhotoUnreadable("it is not a picture"), error.failure)
    }

    @Test
    fun `one size is decoded once, and another one anew`() {
        val bytes =
            decoded(
                vectors["photos"]
                    .asJsonArray
                    .first()
                    .asJsonObject["bytes"]
                    .asString,
            )
        val resolver = RuntimeEnvironment.getApplication().contentResolver
        val uri = Uri.parse("content://tests/again.png")
        var reads = 0
        shadowOf(resolver).registerInputStreamSupplier(uri) { bytes.inputStream().also { reads++ } }
        val photo = resolver.photo(uri)
        val before = reads
        val whole = photo.decode(1)
        assertTrue(photo.decode(1) === whole)
        assertEquals(before + 1, reads)
        val half = photo.decode(2)
        assertTrue("${half.width} of ${whole.width}", half.width < whole.width)
    }

    @Test
    fun `a bitmap that is there already stays the caller's`() {
        val bitmap = RgbImage(1, 2, byteArrayOf(1, 2, 3, 4, 5, 6)).toBitmap()
        val image = photoOf(bitmap).decode(1)
        assertArrayEquals(byteArrayOf(1, 2, 3, 4, 5, 6), image.bytes)
        assertTrue(!bitmap.isRecycled)
    }

    @Test
    fun `what is shown of a large image is no larger than a screen, and in its place`() {
        val wide = RgbImage(2, 5000, ByteArray(30000) { (it / 3 / 20).toByte() })
        val shown = wide.toBitmap()
        assertEquals(listOf(1667, 1), listOf(shown.width, shown.height))
        assertEquals(wide.argb(3 * 1000), shown.getPixel(1000, 0))
        val small = RgbImage(1, 2, byteArrayOf(1, 2, 3, 4, 5, 6))
        val pixels = IntArray(2).also { small.toBitmap().getPixels(it, 0, 2, 0, 0, 2, 1) }
        assertArrayEquals(small.argb(), pixels)
    }
}

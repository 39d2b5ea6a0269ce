package dev.torchmobile.demo

import android.net.Uri
import com.google.gson.JsonObject
import com.google.gson.JsonParser
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
import java.util.Base64
import kotlin.math.abs

/** `tests/golden/photos.json`: the bytes that reach a model are Python's, whatever the photo. */
@RunWith(RobolectricTestRunner::class)
@Config(sdk = [34], application = TestApplication::class)
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

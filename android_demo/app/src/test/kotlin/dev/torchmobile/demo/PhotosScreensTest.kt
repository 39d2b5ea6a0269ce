package dev.torchmobile.demo

import android.net.Uri
import com.google.gson.JsonObject
import com.google.gson.JsonParser
import dev.torchmobile.core.DemoException
import dev.torchmobile.core.Failure
import dev.torchmobile.core.Geometry
import dev.torchmobile.core.ModelInput
import dev.torchmobile.core.Photo
import dev.torchmobile.core.PhotoColor
import dev.torchmobile.core.Resize
import dev.torchmobile.core.RgbImage
import dev.torchmobile.core.Rounding
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
    private val bounds = ModelInput.Image(8, 8192, 32, PhotoColor.RGBA, Geometry(Resize.COVER, 4, 4, 4, 4, Rounding.DOWN))

    private fun decoded(text: String): ByteArray = Base64.getDecoder().decode(text)

    private fun read(
        name: String,
        bytes: ByteArray,
    ): Photo {
        val resolver = RuntimeEnvironment.getApplication().contentResolver
        val uri = Uri.parse("content://tests/$name")
        shadowOf(resolver).registerInputStreamSupplier(uri) { bytes.inputStream() }
        return PhotoSource(resolver, uri).photos(listOf(bounds to null)).single()
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
                problem(vector, read(name, decoded(vector["bytes"].asString)).image)?.let { "$name: $it" }
            }
        assertEquals(emptyList<String>(), wrong)
    }

    @Test
    fun `a photo one pixel wide is refused in words`() {
        val error = assertThrows(DemoException::class.java) { read("narrow.png", decoded(vectors["narrow"].asString)) }
        assertTrue(error.failure.sentence, error.failure is Failure.PhotoOutOfBounds)
    }

    @Test
    fun `what is shown of a large image is no larger than a screen, and in its place`() {
        val wide = RgbImage(2, 5000, ByteArray(30000) { (it / 3 / 20).toByte() })
        val shown = bitmapOf(wide)
        assertEquals(listOf(1667, 1), listOf(shown.width, shown.height))
        assertEquals(wide.argb(3 * 1000), shown.getPixel(1000, 0))
        val small = RgbImage(1, 2, byteArrayOf(1, 2, 3, 4, 5, 6))
        val pixels = IntArray(2).also { bitmapOf(small).getPixels(it, 0, 2, 0, 0, 2, 1) }
        assertArrayEquals(small.argb(), pixels)
    }
}

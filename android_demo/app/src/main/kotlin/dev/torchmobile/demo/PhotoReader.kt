package dev.torchmobile.demo

import android.content.ContentResolver
import android.graphics.Bitmap
import android.graphics.BitmapFactory
import android.graphics.Color
import android.media.ExifInterface
import android.net.Uri
import dev.torchmobile.core.DemoException
import dev.torchmobile.core.Failure
import dev.torchmobile.core.ModelInput
import dev.torchmobile.core.Photo
import dev.torchmobile.core.Picture
import dev.torchmobile.core.Preprocessing
import dev.torchmobile.core.RgbImage
import dev.torchmobile.core.downsamplePlan
import dev.torchmobile.core.firstLine
import dev.torchmobile.core.rgbImage
import dev.torchmobile.core.upright
import dev.torchmobile.core.wantedSide
import java.io.IOException
import java.io.InputStream
import java.nio.ByteBuffer

/**
 * The photo at [uri], decoded as small as each model allows.
 *
 * Its size is read first, so that memory is bounded before a pixel is decoded (see
 * `dev.torchmobile.core.maxPixels` and `BYTES_PER_PIXEL`). Throws [DemoException].
 */
class PhotoSource(
    private val resolver: ContentResolver,
    private val uri: Uri,
) {
    // As stored: its orientation turns it.
    private val width: Int
    private val height: Int

    // What was decoded for the models in use, by how much smaller.
    private val decoded = mutableMapOf<Int, Photo>()

    init {
        val size = BitmapFactory.Options().apply { inJustDecodeBounds = true }
        read { BitmapFactory.decodeStream(it, null, size) }
        if (size.outWidth <= 0 || size.outHeight <= 0) throw DemoException(Failure.PhotoUnreadable("it is not a picture"))
        width = size.outWidth
        height = size.outHeight
    }

    // A picture without EXIF (a PNG, say) is not an error.
    private val orientation by lazy {
        try {
            read { ExifInterface(it).getAttributeInt(ExifInterface.TAG_ORIENTATION, 1) }
        } catch (_: DemoException) {
            1
        }
    }

    /** Decode it upright, as uint8, for each of these inputs with its preprocessing; forget it in other sizes. */
    fun photos(wanted: List<Pair<ModelInput.Image, Preprocessing?>>): List<Photo> {
        val samples = wanted.map { (bounds, preprocessing) -> sample(bounds, preprocessing) }
        decoded.keys.retainAll(samples.toSet())
        return samples.map { decoded.getOrPut(it) { decode(it) } }
    }

    private fun sample(
        bounds: ModelInput.Image,
        preprocessing: Preprocessing?,
    ): Int {
        val plan = downsamplePlan(width, height, wantedSide(preprocessing), bounds)
        plan.refusal?.let { throw DemoException(Failure.PhotoOutOfBounds(width, height, it, bounds)) }
        return plan.sample
    }

    private fun decode(sample: Int): Photo {
        val options =
            BitmapFactory.Options().apply {
                inSampleSize = sample
                // Colors as they are in the file: Android would scale them by alpha, and Pillow does not.
                inPremultiplied = false
            }
        try {
            val bitmap =
                read { BitmapFactory.decodeStream(it, null, options) }
                    ?: throw DemoException(Failure.PhotoUnreadable("it is damaged"))
            return Photo(rgbOf(bitmap).upright(orientation), sample)
        } catch (error: OutOfMemoryError) {
            throw DemoException(Failure.OutOfMemory("this photo"), error)
        }
    }

    private fun <T> read(use: (InputStream) -> T): T =
        try {
            (resolver.openInputStream(uri) ?: throw IOException("it cannot be opened")).use(use)
        } catch (error: IOException) {
            throw DemoException(Failure.PhotoUnreadable(error.message ?: "it cannot be opened"), error)
        } catch (error: SecurityException) {
            throw DemoException(Failure.PhotoUnreadable("the app may not open it"), error)
        } catch (error: RuntimeException) {
            // What a provider throws in its own process arrives as it is.
            throw DemoException(Failure.PhotoUnreadable("the app that holds it fails: ${firstLine(error)}"), error)
        }
}

private const val BYTES = 4

/** Whether a pixel's bytes begin with red, as on Android; on the desktops that tests run on, blue does. */
private val isRedFirst by lazy {
    val pixel = Bitmap.createBitmap(1, 1, Bitmap.Config.ARGB_8888)
    pixel.setPixel(0, 0, Color.RED)
    val bytes = ByteBuffer.allocate(BYTES)
    pixel.copyPixelsToBuffer(bytes)
    bytes.get(0).toInt() != 0
}

/**
 * Take the pixels of [bitmap] (8 bits a channel) and give its memory back.
 *
 * Levels are those of the file, whatever its color profile says, as Pillow gives them: `getPixels` would
 * convert them to sRGB.
 */
fun rgbOf(bitmap: Bitmap): RgbImage {
    val stored =
        if (bitmap.config == Bitmap.Config.ARGB_8888) bitmap else bitmap.copy(Bitmap.Config.ARGB_8888, false).also { bitmap.recycle() }
    val pixels = ByteBuffer.allocate(stored.rowBytes * stored.height)
    stored.copyPixelsToBuffer(pixels)
    val (width, height) = stored.width to stored.height
    val (stride, hasAlpha) = stored.rowBytes to stored.hasAlpha()
    stored.recycle()

    val red = if (isRedFirst) 0 else 2
    val blue = 2 - red

    fun level(at: Int) = pixels.get(at).toInt() and 0xFF
    return rgbImage(width, height, hasAlpha) { row, y ->
        for (x in row.indices) {
            val at = y * stride + BYTES * x
            row[x] = (level(at + 3) shl 24) or (level(at + red) shl 16) or (level(at + 1) shl 8) or level(at + blue)
        }
    }
}

// A longer side is more than a screen shows, and above some 100 MB Android refuses to draw a bitmap.
private const val MOST_SHOWN = 2048

/** The pixels the model sees, to show: of a large image every second, or third ... */
fun bitmapOf(image: RgbImage): Bitmap = bitmapOf(image.height, image.width, image::argb)

fun bitmapOf(picture: Picture): Bitmap = bitmapOf(picture.height, picture.width) { picture.argb[it] }

private fun bitmapOf(
    height: Int,
    width: Int,
    color: (pixel: Int) -> Int,
): Bitmap {
    val step = (maxOf(height, width) + MOST_SHOWN - 1) / MOST_SHOWN
    val (rows, columns) = (height + step - 1) / step to (width + step - 1) / step
    val shown = IntArray(rows * columns) { color(it / columns * step * width + it % columns * step) }
    return Bitmap.createBitmap(shown, columns, rows, Bitmap.Config.ARGB_8888)
}

package dev.torchmobile.runtime.photos

import android.content.ContentResolver
import android.graphics.Bitmap
import android.graphics.BitmapFactory
import android.graphics.Color
import android.media.ExifInterface
import android.net.Uri
import dev.torchmobile.core.ArgbImage
import dev.torchmobile.core.Failure
import dev.torchmobile.core.Photo
import dev.torchmobile.core.RgbImage
import dev.torchmobile.core.VisionError
import dev.torchmobile.core.firstLine
import dev.torchmobile.core.rgbImage
import dev.torchmobile.core.upright
import java.io.IOException
import java.io.InputStream
import java.nio.ByteBuffer

private const val FIRST_TURNED = 5

/**
 * The photo at [uri], such as the system's picker gives; throws [VisionError].
 *
 * Its size and its EXIF orientation are read now, its pixels when a model runs on it, as small as that model
 * allows: memory is bounded before a pixel is decoded (`dev.torchmobile.core.maxPixels`, `BYTES_PER_PIXEL`).
 */
fun ContentResolver.photo(uri: Uri): Photo {
    val size = BitmapFactory.Options().apply { inJustDecodeBounds = true }
    read(uri) { BitmapFactory.decodeStream(it, null, size) }
    if (size.outWidth <= 0 || size.outHeight <= 0) throw VisionError(Failure.PhotoUnreadable("it is not a picture"))
    val orientation = orientation(uri)
    val isTurned = orientation >= FIRST_TURNED
    val (width, height) = if (isTurned) size.outHeight to size.outWidth else size.outWidth to size.outHeight
    // Two models that want the same size decode it once.
    var last: Pair<Int, RgbImage>? = null
    return Photo(width, height) { sample ->
        val kept = last
        if (kept != null && kept.first == sample) {
            kept.second
        } else {
            last = null
            decode(uri, sample).upright(orientation).also { last = sample to it }
        }
    }
}

/** A bitmap that is there already, upright; it stays the caller's. */
fun photoOf(bitmap: Bitmap): Photo = Photo(rgbOf(bitmap.copy(Bitmap.Config.ARGB_8888, false)))

/** The EXIF orientation, 1 to 8. A picture without EXIF (a PNG, say) is not an error. */
private fun ContentResolver.orientation(uri: Uri): Int =
    try {
        read(uri) { ExifInterface(it).getAttributeInt(ExifInterface.TAG_ORIENTATION, 1) }
    } catch (_: VisionError) {
        1
    }

private fun ContentResolver.decode(
    uri: Uri,
    sample: Int,
): RgbImage {
    val options =
        BitmapFactory.Options().apply {
            inSampleSize = sample
            // Colors as they are in the file: Android would scale them by alpha, and Pillow does not.
            inPremultiplied = false
        }
    try {
        val bitmap =
            read(uri) { BitmapFactory.decodeStream(it, null, options) }
                ?: throw VisionError(Failure.PhotoUnreadable("it is damaged"))
        return rgbOf(bitmap)
    } catch (error: OutOfMemoryError) {
        throw VisionError(Failure.OutOfMemory("this photo"), error)
    }
}

private fun <T> ContentResolver.read(
    uri: Uri,
    use: (InputStream) -> T,
): T =
    try {
        (openInputStream(uri) ?: throw IOException("it cannot be opened")).use(use)
    } catch (error: IOException) {
        throw VisionError(Failure.PhotoUnreadable(error.message ?: "it cannot be opened"), error)
    } catch (error: SecurityException) {
        throw VisionError(Failure.PhotoUnreadable("the app may not open it"), error)
    } catch (error: RuntimeException) {
        // What a provider throws in its own process arrives as it is.
        throw VisionError(Failure.PhotoUnreadable("the app that holds it fails: ${firstLine(error)}"), error)
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

/** A bitmap to show, no side longer than 2048: of a large image every second pixel, or third ... Not for the main thread. */
fun RgbImage.toBitmap(): Bitmap = bitmap(height, width, ::argb)

/** The same of a picture that a model gives. */
fun ArgbImage.toBitmap(): Bitmap = bitmap(height, width) { argb[it] }

private fun bitmap(
    height: Int,
    width: Int,
    color: (pixel: Int) -> Int,
): Bitmap {
    val step = (maxOf(height, width) + MOST_SHOWN - 1) / MOST_SHOWN
    val (rows, columns) = (height + step - 1) / step to (width + step - 1) / step
    val shown = IntArray(rows * columns) { color(it / columns * step * width + it % columns * step) }
    return Bitmap.createBitmap(shown, columns, rows, Bitmap.Config.ARGB_8888)
}

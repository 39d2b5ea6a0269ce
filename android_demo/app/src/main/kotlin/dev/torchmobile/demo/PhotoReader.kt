package dev.torchmobile.demo

import android.content.ContentResolver
import android.graphics.Bitmap
import android.graphics.BitmapFactory
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
import dev.torchmobile.core.rgbImage
import dev.torchmobile.core.upright
import dev.torchmobile.core.wantedSide
import java.io.IOException
import java.io.InputStream

/**
 * Decode the photo at [uri] as small as the model allows, upright, as uint8; throw [DemoException].
 *
 * Its size is read first, so that memory is bounded before a pixel is decoded (see
 * `dev.torchmobile.core.maxPixels` and `BYTES_PER_PIXEL`).
 */
fun readPhoto(
    resolver: ContentResolver,
    uri: Uri,
    bounds: ModelInput.Image,
    preprocessing: Preprocessing?,
): Photo {
    fun <T> read(use: (InputStream) -> T): T =
        try {
            (resolver.openInputStream(uri) ?: throw IOException("it cannot be opened")).use(use)
        } catch (error: IOException) {
            throw DemoException(Failure.PhotoUnreadable(error.message ?: "it cannot be opened"), error)
        } catch (error: SecurityException) {
            throw DemoException(Failure.PhotoUnreadable("the app may not open it"), error)
        }
    val size = BitmapFactory.Options().apply { inJustDecodeBounds = true }
    read { BitmapFactory.decodeStream(it, null, size) }
    if (size.outWidth <= 0 || size.outHeight <= 0) throw DemoException(Failure.PhotoUnreadable("it is not a picture"))
    val plan = downsamplePlan(size.outWidth, size.outHeight, wantedSide(preprocessing), bounds)
    plan.refusal?.let {
        throw DemoException(Failure.PhotoOutOfBounds(size.outWidth, size.outHeight, it, bounds))
    }
    // A picture without EXIF (a PNG, say) is not an error.
    val orientation =
        try {
            read { ExifInterface(it).getAttributeInt(ExifInterface.TAG_ORIENTATION, 1) }
        } catch (_: DemoException) {
            1
        }
    val options =
        BitmapFactory.Options().apply {
            inSampleSize = plan.sample
            // Colors as they are in the file: Android would scale them by alpha, and Pillow does not.
            inPremultiplied = false
        }
    try {
        val bitmap =
            read { BitmapFactory.decodeStream(it, null, options) }
                ?: throw DemoException(Failure.PhotoUnreadable("it is damaged"))
        return Photo(rgbOf(bitmap).upright(orientation), plan.sample)
    } catch (error: OutOfMemoryError) {
        throw DemoException(Failure.OutOfMemory("this photo"), error)
    }
}

/** Read the pixels of [bitmap] and give its memory back. */
fun rgbOf(bitmap: Bitmap): RgbImage {
    val image =
        rgbImage(bitmap.width, bitmap.height, bitmap.hasAlpha()) { row, y -> bitmap.getPixels(row, 0, row.size, 0, y, row.size, 1) }
    bitmap.recycle()
    return image
}

/** The pixels the model sees, to show. */
fun bitmapOf(image: RgbImage): Bitmap = Bitmap.createBitmap(image.argb(), image.width, image.height, Bitmap.Config.ARGB_8888)

fun bitmapOf(picture: Picture): Bitmap = Bitmap.createBitmap(picture.argb, picture.width, picture.height, Bitmap.Config.ARGB_8888)

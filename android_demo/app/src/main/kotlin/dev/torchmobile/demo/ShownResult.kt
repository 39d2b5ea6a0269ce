package dev.torchmobile.demo

import android.graphics.Bitmap
import dev.torchmobile.core.Content
import dev.torchmobile.core.VisionResult
import dev.torchmobile.runtime.photos.toBitmap

/** A [result] with what is drawn of it; made off the main thread, as a bitmap takes its time. */
class ShownResult(
    val result: VisionResult,
) {
    /** The picture, or what boxes are drawn on; null where there is none. */
    val picture: Bitmap? =
        when (val content = result.content) {
            is Content.ClassMap -> content.picture.toBitmap()
            is Content.Depth -> content.picture.toBitmap()
            is Content.Picture -> content.picture.toBitmap()
            is Content.Boxes -> enlarged(result.image)
            is Content.KeyPoints -> drawPoints(result.image, content.points)
            else -> null
        }

    /** Whether it is drawn over the photo, so that the photo need not be shown as well. */
    val isOverPhoto: Boolean get() = picture != null && result.content !is Content.Picture
}

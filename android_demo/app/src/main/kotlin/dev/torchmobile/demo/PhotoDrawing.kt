package dev.torchmobile.demo

import android.graphics.Bitmap
import android.graphics.Canvas
import android.graphics.Color
import android.graphics.Paint
import dev.torchmobile.core.Detection
import dev.torchmobile.core.KeyPoint
import dev.torchmobile.core.RgbImage
import dev.torchmobile.core.classColor
import dev.torchmobile.runtime.photos.toBitmap
import kotlin.math.max

private const val MOST_BOXES = 100
private const val LEAST_SIDE = 640
private const val LINE_SHARE = 160f
private const val TEXT_SHARE = 26f
private const val POINT_SHARE = 70f

/** [photo], which shows an image [width] pixels wide, with the boxes of [found] and their labels. */
fun drawBoxes(
    photo: Bitmap,
    width: Int,
    found: List<Detection>,
): Bitmap {
    val picture = photo.copy(Bitmap.Config.ARGB_8888, true)
    val times = picture.width / width.toDouble()
    val canvas = Canvas(picture)
    val side = max(picture.height, picture.width)
    val line = Paint(Paint.ANTI_ALIAS_FLAG).apply { style = Paint.Style.STROKE }
    val back = Paint()
    val text = Paint(Paint.ANTI_ALIAS_FLAG).apply { color = Color.BLACK }
    line.strokeWidth = side / LINE_SHARE
    text.textSize = side / TEXT_SHARE
    // The best is drawn last, over the others.
    for (one in found.take(MOST_BOXES).reversed()) {
        val (left, top, right, bottom) = listOf(one.box.left, one.box.top, one.box.right, one.box.bottom).map { (times * it).toFloat() }
        line.color = one.color
        back.color = one.color
        canvas.drawRect(left, top, right, bottom, line)
        val label = one.text?.let { "${one.label} $it" } ?: one.label
        // Above the box, or inside where there is no room above it.
        val foot = if (top > text.textSize) top else top + text.textSize
        canvas.drawRect(left, foot - text.textSize, left + text.measureText(label), foot + text.descent() / 2, back)
        canvas.drawText(label, left, foot - text.descent() / 2, text)
    }
    return picture
}

/** The photo with [points]: filled where they are sure, else rings. */
fun drawPoints(
    image: RgbImage,
    points: List<KeyPoint>,
): Bitmap {
    val picture = enlarged(image)
    val times = picture.width / image.width.toDouble()
    val canvas = Canvas(picture)
    val radius = max(picture.height, picture.width) / POINT_SHARE
    val paint = Paint(Paint.ANTI_ALIAS_FLAG)
    paint.strokeWidth = radius / 3
    for (point in points.reversed()) {
        val (x, y) = listOf(point.place.x, point.place.y).map { (times * it).toFloat() }
        paint.style = if (point.isSure) Paint.Style.FILL else Paint.Style.STROKE
        // A dark rim: the photo may have the color.
        paint.color = Color.BLACK
        canvas.drawCircle(x, y, radius + radius / 4, paint)
        paint.color = classColor(point.index)
        canvas.drawCircle(x, y, radius, paint)
    }
    return picture
}

/** The photo to draw on; a small one is enlarged for what is written on it. */
fun enlarged(image: RgbImage): Bitmap {
    val photo = image.toBitmap()
    val times = max(1, LEAST_SIDE / max(photo.height, photo.width))
    return Bitmap.createScaledBitmap(photo, times * photo.width, times * photo.height, true).copy(Bitmap.Config.ARGB_8888, true)
}

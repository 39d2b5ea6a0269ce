package dev.torchmobile.demo

import android.app.Activity
import android.graphics.Bitmap
import android.graphics.Canvas
import android.os.Looper
import org.robolectric.Shadows.shadowOf
import java.io.File

/** Draw what [activity] shows into `NAME.png` in the folder of the property `screenshots`. */
internal fun shoot(
    activity: Activity,
    name: String,
) {
    shadowOf(Looper.getMainLooper()).idle()
    val view = activity.window.decorView
    val bitmap = Bitmap.createBitmap(view.width, view.height, Bitmap.Config.ARGB_8888)
    view.draw(Canvas(bitmap))
    val folder = File(checkNotNull(System.getProperty("screenshots"))).apply { mkdirs() }
    File(folder, "$name.png").outputStream().use { bitmap.compress(Bitmap.CompressFormat.PNG, 100, it) }
}

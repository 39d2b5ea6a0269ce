package dev.torchmobile.demo

import android.app.Activity
import android.content.Intent
import android.graphics.Bitmap
import android.net.Uri
import android.os.Looper
import android.provider.MediaStore
import android.view.MenuItem
import android.view.View
import android.widget.LinearLayout
import android.widget.TextView
import android.widget.Toolbar
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.robolectric.Robolectric
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import java.io.ByteArrayOutputStream

/** What a person does on the screens, and what they read there. */
internal fun idle() = shadowOf(Looper.getMainLooper()).idle()

internal fun launchMain(): MainActivity =
    Robolectric
        .buildActivity(MainActivity::class.java)
        .setup()
        .get()
        .also { idle() }

internal fun Activity.text(id: Int) = findViewById<TextView>(id).text.toString()

internal fun Activity.badge() = (findViewById<LinearLayout>(R.id.badges).getChildAt(0) as TextView).text.toString()

/** The badge of the first model, and the sentence with its numbers that the details show. */
internal fun Activity.figures() =
    (application as DemoApplication)
        .workbench.state.chosen
        .first()
        .verification.sentence

/** [bytes] behind a content address. */
internal fun content(
    name: String,
    bytes: ByteArray,
): Uri {
    val uri = Uri.parse("content://tests/$name")
    shadowOf(RuntimeEnvironment.getApplication().contentResolver).registerInputStreamSupplier(uri) { bytes.inputStream() }
    return uri
}

/** A PNG of 64 x 48 with these colors behind a content address. */
internal fun picture(
    name: String = "photo.png",
    color: (x: Int, y: Int) -> Int = { x, y -> -0x1000000 or (4 * x shl 16) or (5 * y shl 8) or 40 },
): Uri {
    val bitmap = Bitmap.createBitmap(64, 48, Bitmap.Config.ARGB_8888)
    for (y in 0 until 48) for (x in 0 until 64) bitmap.setPixel(x, y, color(x, y))
    val bytes = ByteArrayOutputStream().also { bitmap.compress(Bitmap.CompressFormat.PNG, 100, it) }.toByteArray()
    return content(name, bytes)
}

/** Do what the system's picker does when a person chose [uri], for a photo (`R.id.pick`) or a model (`R.id.open`). */
internal fun Activity.answer(
    action: Int,
    uri: Uri,
) {
    if (action == R.id.open) choose(action) else findViewById<View>(action).performClick()
    val request = shadowOf(this).nextStartedActivityForResult
    val expected = if (action == R.id.open) Intent.ACTION_OPEN_DOCUMENT else MediaStore.ACTION_PICK_IMAGES
    assertEquals(expected, request.intent.action)
    shadowOf(this).receiveResult(request.intent, Activity.RESULT_OK, Intent().setData(uri))
    idle()
}

/** Choose [item] of the menu, which must be enabled. */
internal fun Activity.choose(item: Int) {
    assertTrue(menuItem(item).isEnabled)
    findViewById<Toolbar>(R.id.bar).menu.performIdentifierAction(item, 0)
}

/** An [item] of the menu as it is now. */
internal fun Activity.menuItem(item: Int): MenuItem {
    idle()
    return findViewById<Toolbar>(R.id.bar).menu.findItem(item)
}

/** Times differ from run to run; the picture must not. */
internal fun Activity.still(
    width: Int,
    height: Int,
    sample: Int,
) {
    val results = findViewById<LinearLayout>(R.id.results)
    for (index in 0 until results.childCount) {
        results.getChildAt(index).findViewById<TextView>(R.id.latency).text = getString(R.string.latency, 12.3, 1)
    }
    findViewById<TextView>(R.id.note).text = getString(R.string.photo_size, width, height, sample)
}

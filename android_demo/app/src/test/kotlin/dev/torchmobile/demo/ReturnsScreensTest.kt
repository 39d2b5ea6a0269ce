package dev.torchmobile.demo

import android.app.Activity
import android.content.Intent
import android.net.Uri
import android.os.Bundle
import android.view.View
import android.widget.Spinner
import org.junit.After
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertTrue
import org.junit.Before
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode
import org.robolectric.shadows.ShadowAlertDialog
import java.io.File

/** What comes into the app from outside, what is taken out of it, and what outlives its process. */
@RunWith(RobolectricTestRunner::class)
@Config(sdk = [35], application = TestApplication::class, qualifiers = "w360dp-h740dp-xhdpi")
@GraphicsMode(GraphicsMode.Mode.NATIVE)
class ReturnsScreensTest {
    private val application get() = RuntimeEnvironment.getApplication() as DemoApplication
    private val workbench get() = application.workbench

    @Before
    fun withModels() {
        TestApplication.withoutModels = false
        TestApplication.key = ""
    }

    @After
    fun asFound() = withModels()

    private fun start(intent: Intent): Activity =
        Robolectric
            .buildActivity(MainActivity::class.java, intent)
            .setup()
            .get()
            .also { idle() }

    private fun seen() = (workbench.state as ScreenState.Done).columns.map { it.shown.result.width }

    @Test
    fun `a photo that another app shares or opens is classified`() {
        start(Intent(Intent.ACTION_SEND).setType("image/png").putExtra(Intent.EXTRA_STREAM, picture("shared.png")))
        assertEquals(listOf(16), seen())
        val again = Intent(Intent.ACTION_VIEW).setDataAndType(picture("viewed.png") { _, _ -> -1 }, "image/png")
        val before = workbench.state
        start(again)
        assertTrue(workbench.state !== before)
        assertEquals(listOf(16), seen())
    }

    @Test
    fun `a model that another app opens becomes the chosen one`() {
        val file = content("sent.ptl", "tiny sent".toByteArray())
        val activity = start(Intent(Intent.ACTION_VIEW).setDataAndType(file, "application/octet-stream"))
        assertEquals("sent.ptl", activity.findViewById<Spinner>(R.id.model).selectedItem)
        assertEquals("tiny sent", File(application.filesDir, "opened/sent.ptl").readText())
    }

    @Test
    fun `the manifest takes photos and bytes from other apps`() {
        val manager = application.packageManager
        for (type in listOf("image/jpeg", "application/octet-stream")) {
            for (intent in listOf(
                Intent(Intent.ACTION_SEND).setType(type),
                Intent(Intent.ACTION_VIEW).setDataAndType(Uri.parse("content://x/y"), type),
            )) {
                assertEquals(listOf(MainActivity::class.java.name), manager.queryIntentActivities(intent, 0).map { it.activityInfo.name })
            }
        }
        assertTrue(manager.queryIntentActivities(Intent(Intent.ACTION_SEND).setType("text/plain"), 0).isEmpty())
    }

    @Test
    fun `an opened model can be deleted, and a built-in one cannot`() {
        val activity = launchMain()
        assertFalse(activity.menuItem(R.id.delete).isEnabled)
        activity.answer(R.id.open, content("mine.ptl", "tiny mine".toByteArray()))
        activity.choose(R.id.delete)
        val dialog = ShadowAlertDialog.getLatestAlertDialog()
        assertEquals("Delete mine.ptl from this app?", shadowOf(dialog).message)
        assertTrue(File(application.filesDir, "opened/mine.ptl").exists())
        dialog.getButton(android.app.AlertDialog.BUTTON_POSITIVE).performClick()
        idle()
        assertFalse(File(application.filesDir, "opened/mine.ptl").exists())
        assertEquals(listOf("tiny.ptl"), workbench.state.models.map { it.name })
        assertEquals(listOf("tiny.ptl"), workbench.state.chosen.map { it.file.name })
    }

    @Test
    fun `models, photo and threshold come back after the process was ended`() {
        val activity = launchMain()
        activity.answer(R.id.open, content("mine.ptl", "tiny mine".toByteArray()))
        activity.answer(R.id.pick, picture())
        workbench.threshold = 0.25
        val saved = Bundle()
        val (models, photo) = workbench.inHand()
        assertEquals(listOf("mine.ptl"), models.map { File(it).name })
        Robolectric.buildActivity(MainActivity::class.java).setup().saveInstanceState(saved)
        // Another process: a workbench that knows nothing.
        val own = Workbench(application, application.madeRuntimes(), { it.run() }, { it.run() }, "").also { it.start() }
        assertEquals(listOf("tiny.ptl"), own.state.chosen.map { it.file.name })
        own.restore(
            checkNotNull(saved.getStringArray("models")).toList(),
            Uri.parse(saved.getString("photo")),
            saved.getDouble("threshold"),
        )
        val state = own.state as ScreenState.Done
        assertEquals(listOf("mine.ptl"), state.chosen.map { it.file.name })
        assertEquals(photo, own.inHand().second)
        assertEquals(0.25, checkNotNull(own.threshold), 0.0)
        // A rotation in a living process changes nothing.
        own.restore(emptyList(), null, null)
        assertTrue(own.state === state)
    }

    @Test
    fun `without a photo picker the documents are asked`() {
        val activity = launchMain()
        shadowOf(application).checkActivities(true)
        val filter = android.content.IntentFilter(Intent.ACTION_OPEN_DOCUMENT)
        filter.addCategory(Intent.CATEGORY_OPENABLE)
        filter.addCategory(Intent.CATEGORY_DEFAULT)
        filter.addDataType("image/*")
        val documents = android.content.ComponentName("files", "files.Documents")
        shadowOf(application.packageManager).addActivityIfNotPresent(documents)
        shadowOf(application.packageManager).addIntentFilterForActivity(documents, filter)
        activity.findViewById<View>(R.id.pick).performClick()
        val request = shadowOf(activity).nextStartedActivityForResult
        assertEquals(Intent.ACTION_OPEN_DOCUMENT, request.intent.action)
    }
}

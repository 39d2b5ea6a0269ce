package dev.torchmobile.demo

import android.content.Intent
import android.view.View
import android.widget.Button
import android.widget.LinearLayout
import android.widget.ProgressBar
import android.widget.Spinner
import android.widget.TextView
import dev.torchmobile.core.Content
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
import org.robolectric.android.controller.ActivityController
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode
import java.io.File

private const val PHONE = "w360dp-h740dp-xhdpi"

@RunWith(RobolectricTestRunner::class)
@Config(sdk = [35], application = TestApplication::class, qualifiers = PHONE)
@GraphicsMode(GraphicsMode.Mode.NATIVE)
class ScreensTest {
    private val application get() = RuntimeEnvironment.getApplication() as DemoApplication

    @Before
    fun withModels() {
        TestApplication.withoutModels = false
        TestApplication.key = ""
    }

    @After
    fun asFound() = withModels()

    private fun launch(): ActivityController<MainActivity> = Robolectric.buildActivity(MainActivity::class.java).setup().also { idle() }

    @Test
    fun `at first start the model of the assets earns its badge`() {
        val activity = launch().get()
        assertTrue(application.workbench.state is ScreenState.Ready)
        assertEquals("This phone computes what the computer did.", activity.badge())
        assertEquals("tiny.ptl", activity.findViewById<Spinner>(R.id.model).selectedItem)
        assertTrue(activity.figures(), activity.figures().startsWith("Verified on this device: 3 of 3"))
        shoot(activity, "ready")
    }

    @Test
    fun `a photo from the picker gives the five best classes`() {
        val activity = launch().get()
        activity.answer(R.id.pick, picture())
        val state = application.workbench.state as ScreenState.Done
        val shown =
            state.columns
                .single()
                .shown.result.content
        assertEquals(5, (shown as Content.Classes).classes.size)
        val column = activity.findViewById<LinearLayout>(R.id.results).getChildAt(0) as LinearLayout
        val row = column.findViewById<LinearLayout>(R.id.rows).getChildAt(0)
        assertTrue("${row.contentDescription}", Regex(".+, [0-9.]+%").matches("${row.contentDescription}"))
        assertTrue(row.findViewById<ProgressBar>(R.id.share_bar).progress > 0)
        assertTrue(activity.text(R.id.note), "16 × 12 pixels (photo decoded at 1/4)" in activity.text(R.id.note))
        activity.still(16, 12, 4)
        shoot(activity, "photo")
    }

    @Test
    fun `two models stand side by side on one photo`() {
        val activity = launch().get()
        activity.answer(R.id.open, content("int8.ptl", "tiny too".toByteArray()))
        activity.answer(R.id.pick, picture())
        activity.findViewById<Spinner>(R.id.second).setSelection(1)
        idle()
        val state = application.workbench.state as ScreenState.Done
        assertEquals(listOf("int8.ptl", "tiny.ptl"), state.columns.map { it.model.file.name })
        val results = activity.findViewById<LinearLayout>(R.id.results)
        assertEquals(2, results.childCount)
        activity.still(16, 12, 4)
        shoot(activity, "side_by_side")
    }

    @Test
    fun `a rotation keeps photo and result`() {
        val controller = launch()
        controller.get().answer(R.id.pick, picture())
        val before = application.workbench.state
        RuntimeEnvironment.setQualifiers("w740dp-h360dp-land-xhdpi")
        controller.configurationChange()
        idle()
        val turned = controller.get()
        assertTrue(application.workbench.state === before)
        assertEquals(1, turned.findViewById<LinearLayout>(R.id.results).childCount)
        assertEquals(View.VISIBLE, turned.findViewById<View>(R.id.photo).visibility)
    }

    @Test
    @Config(qualifiers = "w360dp-h740dp-night-xhdpi")
    fun `in the dark theme`() {
        shoot(launch().get(), "dark")
    }

    @Test
    fun `a phone that computes something else fails the badge in words`() {
        val activity = launch().get()
        activity.answer(R.id.open, content("wrong.ptl", "wrong".toByteArray()))
        assertEquals("This phone computes something else. Don't trust its answers.", activity.badge())
        assertTrue(activity.figures(), activity.figures().startsWith("NOT verified: only 0 of 3"))
        assertTrue(activity.figures(), "max |d|" in activity.figures())
        shoot(activity, "badge_failed")
    }

    @Test
    fun `bad models are explained and the app goes on`() {
        val activity = launch().get()
        for ((text, words) in mapOf(
            "damaged" to "bad.ptl does not load: failed finding central directory.",
            "newer" to "has schema version 3.0, and this app reads 2.x. Update the app.",
            "unsupported" to "The runtime's library for this phone's processor (armeabi-v7a) is not in the app.",
        )) {
            activity.answer(R.id.open, content("bad.ptl", text.toByteArray()))
            assertTrue(activity.text(R.id.status), words in activity.text(R.id.status))
            // The model that worked before still does.
            assertEquals("tiny.ptl", activity.findViewById<Spinner>(R.id.model).selectedItem)
            assertEquals("This phone computes what the computer did.", activity.badge())
            assertTrue(activity.findViewById<View>(R.id.pick).isEnabled)
            if (text == "damaged") shoot(activity, "damaged")
        }
        activity.answer(R.id.open, content("good.ptl", "tiny".toByteArray()))
        assertEquals("good.ptl", activity.findViewById<Spinner>(R.id.model).selectedItem)
    }

    @Test
    fun `a photo that is none is explained`() {
        val activity = launch().get()
        for (bytes in listOf(ByteArray(0), "no picture".toByteArray())) {
            activity.answer(R.id.pick, content("x.jpg", bytes))
            assertTrue(activity.text(R.id.status), "photo cannot be read" in activity.text(R.id.status))
        }
    }

    @Test
    fun `without a model the app says how to get one`() {
        TestApplication.withoutModels = true
        val activity = launch().get()
        assertTrue(activity.text(R.id.status), "python -m exporter --install android_demo" in activity.text(R.id.status))
        assertFalse(activity.findViewById<View>(R.id.pick).isEnabled)
        shoot(activity, "no_model")
    }

    @Test
    fun `the benchmark measures and shares JSON`() {
        launch()
        val activity = Robolectric.buildActivity(BenchmarkActivity::class.java).setup().get()
        assertEquals("tiny.ptl", activity.text(R.id.measured))
        activity.findViewById<TextView>(R.id.runs).text = "7"
        activity.findViewById<TextView>(R.id.threads).text = "999999999999"
        activity.findViewById<Button>(R.id.start).performClick()
        idle()
        assertTrue(activity.text(R.id.outcome), "(7 runs)" in activity.text(R.id.outcome))
        activity.findViewById<Button>(R.id.share).performClick()
        val chooser = shadowOf(activity).nextStartedActivity
        assertEquals(Intent.ACTION_CHOOSER, chooser.action)
        val (file, _) = SharedFileProvider.shared(application, SharedFileProvider.BENCHMARK)
        file.copyTo(File(checkNotNull(System.getProperty("screenshots")), "benchmark.json"), overwrite = true)
        activity.findViewById<TextView>(R.id.threads).text = "1"
        activity.findViewById<TextView>(R.id.outcome).text = activity.getString(R.string.benchmark_line, 1, 12.3, 13.1, 7)
        shoot(activity, "benchmark")
    }

    @Test
    fun `the camera is asked for, and a refusal is explained`() {
        val activity = launch().get()
        activity.findViewById<View>(R.id.live).performClick()
        val asked = shadowOf(activity).lastRequestedPermission
        assertEquals(listOf("android.permission.CAMERA"), asked.requestedPermissions.toList())
        activity.onRequestPermissionsResult(asked.requestCode, asked.requestedPermissions, intArrayOf(-1))
        assertTrue(
            org.robolectric.shadows.ShadowAlertDialog
                .getLatestAlertDialog()
                .isShowing,
        )
    }

    @Test
    fun `with a key built in, only what it signed is opened, and the rest harms nothing`() {
        val signed =
            com.google.gson.JsonParser
                .parseString(File(checkNotNull(System.getProperty("golden")), "signed.json").readText())
                .asJsonObject
        TestApplication.key = signed["public_key"].asString
        val activity = launch().get()
        val refused = application.workbench.state as ScreenState.Failed
        assertTrue(refused.sentence, refused.sentence.startsWith("tiny.ptl was not opened: "))
        val good =
            java.util.Base64
                .getDecoder()
                .decode(signed["good"].asString)
        activity.answer(R.id.open, content("mine.ptl", good))
        assertEquals("mine.ptl", activity.findViewById<Spinner>(R.id.model).selectedItem)
        // Another of its name, with one byte changed: refused, and the good one is still there.
        activity.answer(R.id.open, content("mine.ptl", good.clone().also { it[good.size / 2] = 0 }))
        val again = application.workbench.state as ScreenState.Failed
        assertTrue(again.sentence, again.sentence.startsWith("mine.ptl was not opened: "))
        assertEquals(good.toList(), File(application.filesDir, "opened/mine.ptl").readBytes().toList())
        assertEquals(listOf("mine.ptl"), again.chosen.map { it.file.name })
    }

    @Test
    fun `a key built in that is none opens nothing`() {
        TestApplication.key = "RWmistyped"
        launch()
        val state = application.workbench.state as ScreenState.Failed
        assertTrue(state.sentence, "(RWmistyped) is not one of minisign's" in state.sentence)
    }
}

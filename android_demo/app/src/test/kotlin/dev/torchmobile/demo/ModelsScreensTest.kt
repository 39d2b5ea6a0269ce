package dev.torchmobile.demo

import android.app.Activity
import android.content.ContentProvider
import android.content.ContentValues
import android.content.Context
import android.database.Cursor
import android.graphics.Bitmap
import android.net.Uri
import android.view.accessibility.AccessibilityManager
import android.widget.Spinner
import dev.torchmobile.core.BenchmarkPlan
import dev.torchmobile.core.RgbImage
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
import org.robolectric.shadows.ShadowContentResolver
import java.io.ByteArrayOutputStream
import java.io.File
import java.util.concurrent.Executor

/** Opening, replacing and switching models: nothing that worked is lost, and each sees its own pixels. */
@RunWith(RobolectricTestRunner::class)
@Config(sdk = [35], application = TestApplication::class, qualifiers = "w360dp-h740dp-xhdpi")
@GraphicsMode(GraphicsMode.Mode.NATIVE)
class ModelsScreensTest {
    private val application get() = RuntimeEnvironment.getApplication() as DemoApplication
    private val workbench get() = application.workbench

    @Before
    fun withModels() {
        TestApplication.withoutModels = false
        TestApplication.key = ""
        TestApplication.threads.clear()
    }

    @After
    fun asFound() = withModels()

    private fun launch(): Activity =
        Robolectric
            .buildActivity(MainActivity::class.java)
            .setup()
            .get()
            .also { idle() }

    private fun open(
        name: String,
        text: String,
    ) {
        workbench.openModel(content(name, text.toByteArray()))
        idle()
    }

    private fun pick() {
        val bitmap = Bitmap.createBitmap(64, 48, Bitmap.Config.ARGB_8888)
        val bytes = ByteArrayOutputStream().also { bitmap.compress(Bitmap.CompressFormat.PNG, 100, it) }.toByteArray()
        workbench.classifyPhoto(content("photo.png", bytes))
        idle()
    }

    private fun opened(name: String) = File(application.filesDir, "opened/$name")

    private fun seen(): List<Int> = (workbench.state as ScreenState.Done).columns.map { it.shown.result.width }

    @Test
    fun `a damaged file of its name leaves the good model in place and in use`() {
        launch()
        open("mine.ptl", "tiny first")
        open("mine.ptl", "damaged")
        val failed = workbench.state as ScreenState.Failed
        assertTrue(failed.sentence, failed.sentence.startsWith("mine.ptl does not load: failed finding central directory."))
        assertEquals(listOf("mine.ptl"), failed.chosen.map { it.file.name })
        assertEquals("tiny first", opened("mine.ptl").readText())
        pick()
        assertEquals(listOf(16), seen())
        // And a better one takes its place.
        open("mine.ptl", "tiny second")
        assertEquals("tiny second", opened("mine.ptl").readText())
        assertEquals(emptyList<String>(), File(application.cacheDir, "incoming").list().orEmpty().toList())
    }

    @Test
    fun `a model that takes no photo stays when it is opened with a photo in hand`() {
        launch()
        pick()
        open("net.ptl", "tensor")
        assertTrue(opened("net.ptl").exists())
        assertEquals(listOf("net.ptl"), (workbench.state as ScreenState.Ready).chosen.map { it.file.name })
        workbench.measure(BenchmarkPlan(0, 1, listOf(1)))
        idle()
        assertTrue("${workbench.benchmarkState}", workbench.benchmarkState is BenchmarkState.Done)
    }

    @Test
    fun `another model sees the photo as it would by itself`() {
        launch()
        pick()
        // The tiny network of 4 x 4 wants 10 pixels a side, that of 32 x 32 wants 74.
        assertEquals(listOf(16), seen())
        val tiny = workbench.state.models.single()
        open("depth.ptl", "depth")
        assertEquals(listOf(64), seen())
        val depth = workbench.state.models.single { it.isOpened }
        workbench.select(listOf(tiny))
        idle()
        assertEquals(listOf(16), seen())
        workbench.select(listOf(tiny, depth))
        idle()
        assertEquals(listOf(16, 64), seen())
    }

    @Test
    fun `a new file under an old name has times of its own`() {
        launch()
        open("mine.ptl", "tiny first")
        repeat(3) { pick() }
        open("mine.ptl", "tiny second")
        assertEquals(
            1,
            (workbench.state as ScreenState.Done)
                .columns
                .single()
                .latency.samples.size,
        )
    }

    @Test
    fun `two models of one name are told apart, with TalkBack on, too`() {
        shadowOf(application.getSystemService(Context.ACCESSIBILITY_SERVICE) as AccessibilityManager).setEnabled(true)
        val activity = launch()
        open("tiny.ptl", "tiny again")
        val spinner = activity.findViewById<Spinner>(R.id.model)
        assertEquals("tiny.ptl (opened)", spinner.selectedItem)
        assertEquals("tiny.ptl (built in)", spinner.getItemAtPosition(0))
        val state = workbench.state as ScreenState.Ready
        assertTrue(
            state.chosen
                .single()
                .file.isOpened,
        )
        spinner.setSelection(0)
        idle()
        assertFalse(
            (workbench.state as ScreenState.Ready)
                .chosen
                .single()
                .file.isOpened,
        )
    }

    @Test
    fun `what a provider throws is a sentence`() {
        val activity = launch()
        for (error in listOf(SecurityException("no"), IllegalArgumentException("odd column"), NullPointerException())) {
            ShadowContentResolver.registerProviderInternal("broken", Broken(error))
            for (button in listOf(R.id.open, R.id.pick)) {
                activity.answer(button, Uri.parse("content://broken/x.ptl"))
                assertTrue("$error: ${workbench.state}", workbench.state is ScreenState.Failed)
            }
        }
        pick()
        assertEquals(listOf(16), seen())
    }

    private class Broken(
        private val error: RuntimeException,
    ) : ContentProvider() {
        override fun onCreate() = true

        override fun query(
            uri: Uri,
            projection: Array<String>?,
            selection: String?,
            selectionArgs: Array<String>?,
            sortOrder: String?,
        ): Cursor = throw error

        override fun getType(uri: Uri): String? = null

        override fun insert(
            uri: Uri,
            values: ContentValues?,
        ): Uri? = null

        override fun delete(
            uri: Uri,
            selection: String?,
            selectionArgs: Array<String>?,
        ) = 0

        override fun update(
            uri: Uri,
            values: ContentValues?,
            selection: String?,
            selectionArgs: Array<String>?,
        ) = 0
    }

    @Test
    fun `a benchmark gives the threads back, and a file that is gone is explained`() {
        launch()
        val usual = TestApplication.threads.last()
        workbench.measure(BenchmarkPlan(0, 1, listOf(7, 9)))
        idle()
        assertEquals(listOf(7, 9, usual), TestApplication.threads.takeLast(3))
        open("mine.ptl", "tiny first")
        opened("mine.ptl").delete()
        workbench.measure(BenchmarkPlan(0, 1, listOf(7)))
        idle()
        val failed = workbench.benchmarkState as BenchmarkState.Failed
        assertTrue(failed.sentence, failed.sentence.startsWith("This did not work: "))
        assertEquals(usual, TestApplication.threads.last())
    }

    @Test
    fun `a frame that comes while one is in work is not even converted`() {
        launch()
        val jobs = ArrayDeque<Runnable>()
        val own = Workbench(application, application.madeRuntimes(), { jobs += it }, Executor { it.run() }, "")
        own.start()
        jobs.removeFirst().run()
        var converted = 0
        var answers = 0
        val frame = RgbImage(8, 8, ByteArray(192) { 9 })

        fun offer() =
            own.classifyFrame({ frame.also { converted++ } }) { result ->
                assertTrue("$result", result.isSuccess)
                answers++
            }
        repeat(3) { offer() }
        assertEquals(1, converted)
        jobs.removeFirst().run()
        assertEquals(1, answers)
        offer()
        assertEquals(2, converted)
        jobs.removeFirst().run()
        // One that cannot be converted does not block those that follow.
        own.classifyFrame({ error("no planes") }) { assertTrue(it.isFailure) }
        jobs.removeFirst().run()
        offer()
        jobs.removeFirst().run()
        assertEquals(3, answers)
    }

    @Test
    fun `a measurement can be stopped`() {
        launch()
        val jobs = ArrayDeque<Runnable>()
        val own = Workbench(application, application.madeRuntimes(), { jobs += it }, Executor { it.run() }, "")
        own.start()
        jobs.removeFirst().run()
        own.measure(BenchmarkPlan(0, 100, listOf(1, 2)))
        own.cancelMeasurement()
        jobs.removeFirst().run()
        assertEquals(BenchmarkState.Idle, own.benchmarkState)
        own.measure(BenchmarkPlan(0, 2, listOf(1)))
        jobs.removeFirst().run()
        assertTrue(own.benchmarkState is BenchmarkState.Done)
    }

    @Test
    fun `a dialog goes with its screen`() {
        val controller = Robolectric.buildActivity(MainActivity::class.java).setup()
        idle()
        controller.get().onRequestPermissionsResult(5, arrayOf("android.permission.CAMERA"), intArrayOf(-1))
        val dialog = ShadowAlertDialog.getLatestAlertDialog()
        assertTrue(dialog.isShowing)
        controller.pause().stop().destroy()
        assertFalse(dialog.isShowing)
    }
}

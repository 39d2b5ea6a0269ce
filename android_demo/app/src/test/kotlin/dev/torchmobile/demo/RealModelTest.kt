package dev.torchmobile.demo

import android.net.Uri
import android.widget.Spinner
import dev.torchmobile.core.Content
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Assume.assumeTrue
import org.junit.Before
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode
import java.io.File
import java.util.concurrent.Executor

/** The app as it is, PyTorch's Android library included; only its thread is the test's. */
class RealApplication : DemoApplication() {
    override fun worker() = Executor { it.run() }
}

/**
 * The whole app on real models: assets, `LiteModuleLoader`, the AAR's x86_64 library, the screens.
 *
 * Runs where `tools/ui_tests.py` has made that library loadable and named a photo.
 */
@RunWith(RobolectricTestRunner::class)
@Config(sdk = [35], application = RealApplication::class, qualifiers = "w360dp-h960dp-xhdpi")
@GraphicsMode(GraphicsMode.Mode.NATIVE)
class RealModelTest {
    private val photo: String? = System.getProperty("photo")
    private val application get() = RuntimeEnvironment.getApplication() as DemoApplication

    @Before
    fun onlyWithTheLibrary() = assumeTrue("no library, no photo", photo != null)

    @Test
    fun `a cat is a cat, in float and in int8`() {
        val activity = Robolectric.buildActivity(MainActivity::class.java).setup().get()
        idle()
        assertEquals("This phone computes what the computer did.", activity.badge())
        val uri = Uri.parse("content://tests/cat.png")
        shadowOf(application.contentResolver).registerInputStreamSupplier(uri) { File(checkNotNull(photo)).inputStream() }
        activity.answer(R.id.pick, uri)
        val models = application.workbench.state.models
        if (models.size > 1) {
            activity.findViewById<Spinner>(R.id.second).setSelection(2)
            idle()
        }
        val state = application.workbench.state as ScreenState.Done
        assertEquals(models.size, state.columns.size)
        for (column in state.columns) {
            assertTrue(column.model.verification.passes)
            val top = (column.shown.result.content as Content.Classes).classes.map { it.label }
            assertTrue("$top", top.take(3).any { "cat" in it || "tabby" in it })
        }
        shoot(activity, "real")
    }
}

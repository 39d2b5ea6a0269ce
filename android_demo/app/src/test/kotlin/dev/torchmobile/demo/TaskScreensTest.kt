package dev.torchmobile.demo

import android.app.Activity
import android.graphics.drawable.BitmapDrawable
import android.net.Uri
import android.view.View
import android.view.ViewGroup
import android.widget.ImageView
import android.widget.LinearLayout
import android.widget.SeekBar
import android.widget.TextView
import dev.torchmobile.core.classColor
import dev.torchmobile.core.depthColor
import dev.torchmobile.core.halfOver
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
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode

/** What the screen makes of a photo by each task, on stand-ins for models. */
@RunWith(RobolectricTestRunner::class)
@Config(sdk = [35], application = TestApplication::class, qualifiers = "w360dp-h740dp-xhdpi")
@GraphicsMode(GraphicsMode.Mode.NATIVE)
class TaskScreensTest {
    private val application get() = RuntimeEnvironment.getApplication() as DemoApplication

    @Before
    fun withModels() {
        TestApplication.withoutModels = false
        TestApplication.key = ""
    }

    @After
    fun asFound() = withModels()

    /** A picture of 64 x 48, its colors shifted by [shift]. */
    private fun photo(shift: Int = 0): Uri =
        picture("photo$shift.png") { x, y -> -0x1000000 or (((3 * x + shift) % 256) shl 16) or (4 * y shl 8) or (40 + shift) }

    private fun launch(kind: String): Activity {
        val activity = Robolectric.buildActivity(MainActivity::class.java).setup().get()
        idle()
        activity.answer(R.id.open, content("$kind.ptl", kind.toByteArray()))
        assertEquals("This phone computes what the computer did.", activity.badge())
        assertTrue(activity.figures(), activity.figures().startsWith("Verified on this device: 1 of 1"))
        // Of classes speaks only the badge of what ranks them.
        assertEquals(activity.figures(), kind == "tensor", "top-1" in activity.figures())
        return activity
    }

    private fun Activity.column() = findViewById<LinearLayout>(R.id.results).getChildAt(0) as LinearLayout

    private fun Activity.rows() =
        column().findViewById<ViewGroup>(R.id.rows).let { rows ->
            List(rows.childCount) {
                "${rows.getChildAt(it).contentDescription}"
            }
        }

    private fun Activity.picture() = (findViewById<ImageView>(R.id.photo).drawable as BitmapDrawable).bitmap

    private fun shootStill(
        activity: Activity,
        name: String,
    ) {
        activity.still(64, 48, 1)
        shoot(activity, name)
    }

    @Test
    fun `a segmentation is drawn over the photo, with a legend`() {
        val activity = launch("segmentation")
        activity.answer(R.id.pick, photo())
        val rows = activity.rows()
        assertTrue("$rows", Regex("background \\(not drawn\\), [0-9.]+%").matches(rows[0]))
        assertEquals(listOf("cat", "dog"), rows.subList(1, 3).map { it.substringBefore(",") }.sorted())
        // The row of classes beside the map is no bar: the task is another.
        assertTrue("$rows", rows[3].startsWith("scene: float32 3, axes classes"))
        // In the photo's place, so not beside it as well.
        assertEquals(View.GONE, activity.column().findViewById<View>(R.id.picture).visibility)
        // Row 16 and column 9 of the network: pixel 24 and 8 + 13.5 of the photo.
        val shown = activity.picture()
        assertEquals(halfOver(classColor(1), 0xFF000000.toInt() or (3 * 21 shl 16) or (4 * 24 shl 8) or 40), shown.getPixel(21, 24))
        // Cropped off.
        assertEquals(0xFF000000.toInt() or (4 * 24 shl 8) or 40, shown.getPixel(0, 24))
        shootStill(activity, "segmentation")
    }

    @Test
    fun `depths are colors`() {
        val activity = launch("depth")
        activity.answer(R.id.pick, photo())
        assertEquals(listOf("Smallest value, blue, 1 meters", "Largest value, red, 4.875 meters"), activity.rows())
        assertEquals(depthColor(0.0), activity.picture().getPixel(8, 5))
        assertEquals(depthColor(1.0), activity.picture().getPixel(55, 5))
        shootStill(activity, "depth")
    }

    @Test
    fun `boxes are drawn and the slider chooses among them`() {
        val activity = launch("detector")
        activity.answer(R.id.pick, photo())
        assertEquals(listOf("amber, 92.0%", "beech, beech tree, 61.0%"), activity.rows())
        assertTrue(activity.label(), "at least 50.0%: 2 of 3" in activity.label())
        val slider = activity.column().findViewById<SeekBar>(R.id.threshold)
        shootStill(activity, "detector")
        slider.progress = 30
        assertEquals(3, activity.rows().size)
        slider.progress = 70
        assertEquals(listOf("amber, 92.0%"), activity.rows())
        // Another photo keeps what was chosen.
        activity.answer(R.id.pick, photo(20))
        assertEquals(listOf("amber, 92.0%"), activity.rows())
        assertTrue(activity.label(), "at least 70.0%: 1 of 3" in activity.label())
    }

    @Test
    fun `key points are drawn where they lie on the photo`() {
        val activity = launch("points")
        activity.answer(R.id.pick, photo())
        // The photo of 64 x 48 becomes 42 x 32, of which the network sees columns 5 to 37: (8 + 5) x 64 / 42.
        assertEquals(listOf("point 0, 19.81, 12 (90.0%)", "point 1, 44.19, 12 (80.0%)", "point 2, 32, 36 (30.0%)"), activity.rows())
        val shown = activity.picture()
        assertEquals(640, shown.width)
        assertEquals(classColor(0), shown.getPixel(200, 120))
        assertEquals(classColor(1), shown.getPixel(440, 120))
        // Not sure: a ring, and the photo in its middle.
        assertEquals(photoAt(32, 36), shown.getPixel(320, 360), within = 4)
        assertTrue((300..340).any { shown.getPixel(it, 360) == classColor(2) })
        // In the photo's place, so not beside it as well.
        assertEquals(View.GONE, activity.column().findViewById<View>(R.id.picture).visibility)
        shootStill(activity, "points")
    }

    private fun photoAt(
        x: Int,
        y: Int,
    ) = 0xFF000000.toInt() or (3 * x shl 16) or (4 * y shl 8) or 40

    private fun assertEquals(
        expected: Int,
        actual: Int,
        within: Int,
    ) {
        for (shift in listOf(0, 8, 16, 24)) {
            assertEquals(((expected ushr shift) and 255).toDouble(), ((actual ushr shift) and 255).toDouble(), within.toDouble())
        }
    }

    @Test
    fun `a picture stands beside the photo`() {
        val activity = launch("image")
        activity.answer(R.id.pick, photo())
        assertEquals(listOf("Black, 0", "White, 1"), activity.rows())
        assertEquals(View.VISIBLE, activity.findViewById<View>(R.id.photo).visibility)
        val shown = (activity.column().findViewById<ImageView>(R.id.picture).drawable as BitmapDrawable).bitmap
        assertEquals(listOf(32, 32), listOf(shown.width, shown.height))
        assertEquals(0xFF000000.toInt(), shown.getPixel(0, 0))
        assertEquals(0xFFFFFF00.toInt(), shown.getPixel(31, 31))
        shootStill(activity, "image")
    }

    private fun Activity.label() = "${column().findViewById<TextView>(R.id.threshold_label).text}"

    @Test
    fun `an embedding is compared with that of the photo before`() {
        val activity = launch("embedding")
        activity.answer(R.id.pick, photo())
        assertEquals(listOf("A vector of 3 numbers", "Pick another photo to compare with this one."), activity.rows())
        activity.answer(R.id.pick, photo(60))
        val (_, cosine) = activity.rows()
        val value = cosine.substringAfter("Cosine to the photo before, ").toDouble()
        assertTrue(cosine, value > 0.5 && value < 0.9999)
        shootStill(activity, "embedding")
    }

    @Test
    fun `regression is a number with its unit`() {
        val activity = launch("regression")
        activity.answer(R.id.pick, photo())
        assertEquals(listOf("age, 41.5 years"), activity.rows())
        shootStill(activity, "regression")
    }

    @Test
    fun `outputs of no known task are a table`() {
        val activity = launch("table")
        activity.answer(R.id.pick, photo())
        assertEquals(
            listOf("output_0: float32 1 × 32 × 32, axes C × H × W, min 1, mean 2.938, max 4.875"),
            activity.rows(),
        )
        shootStill(activity, "table")
    }

    @Test
    fun `a model of tensors takes no photo, and says why`() {
        val activity = launch("tensor")
        assertTrue(application.workbench.state is ScreenState.Ready)
        for (id in listOf(R.id.pick, R.id.camera, R.id.live)) assertFalse(activity.findViewById<View>(id).isEnabled)
        assertTrue(activity.menuItem(R.id.benchmark).isEnabled)
        val status = activity.findViewById<TextView>(R.id.status).text
        assertTrue("$status", "tensor.ptl takes tensors, not photos" in status)
        shoot(activity, "tensor")
    }
}

package dev.torchmobile.demo

import android.app.Activity
import android.graphics.Insets
import android.graphics.Rect
import android.os.Looper
import android.view.View
import android.view.ViewGroup
import android.view.WindowInsets
import android.view.accessibility.AccessibilityManager
import android.widget.Button
import android.widget.EditText
import android.widget.LinearLayout
import android.widget.TextView
import dev.torchmobile.core.Photo
import dev.torchmobile.core.RgbImage
import dev.torchmobile.core.VisionModel
import org.junit.After
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertSame
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
import java.io.File
import java.time.Duration

private const val STATUS_BAR = 48
private const val NAVIGATION_BAR = 32
private const val HOLE = 80

/** The screens as people have set their phones up: large letters, night, right to left, on their side, a tablet. */
@RunWith(RobolectricTestRunner::class)
@Config(sdk = [35], application = TestApplication::class, qualifiers = "w360dp-h740dp-xhdpi")
@GraphicsMode(GraphicsMode.Mode.NATIVE)
class LooksScreensTest {
    private val application get() = RuntimeEnvironment.getApplication() as DemoApplication

    @Before
    fun withModels() {
        TestApplication.withoutModels = false
        TestApplication.key = ""
    }

    @After
    fun asFound() = withModels()

    private fun withPhoto(): Activity =
        launchMain().also {
            it.answer(R.id.pick, picture())
            it.still(16, 12, 4)
        }

    private fun Activity.place(id: Int): Rect = place(findViewById(id))

    private fun place(view: View): Rect {
        val corner = IntArray(2).also(view::getLocationInWindow)
        return Rect(corner[0], corner[1], corner[0] + view.width, corner[1] + view.height)
    }

    private fun all(view: View): List<View> =
        listOf(view) + if (view is ViewGroup) (0 until view.childCount).flatMap { all(view.getChildAt(it)) } else emptyList()

    /** What a person can touch is large enough to hit, whatever the set-up: 48 dp. */
    private fun assertReachable(activity: Activity) {
        val least = (48 * activity.resources.displayMetrics.density).toInt()
        val small =
            all(activity.findViewById(R.id.root))
                .filter { it.isShown && it.isClickable && it.width > 0 && (it.height < least || it.width < least) }
        assertEquals(emptyList<View>(), small)
        val window = Rect(0, 0, activity.window.decorView.width, activity.window.decorView.height)
        assertTrue("${activity.place(R.id.pick)} in $window", window.contains(activity.place(R.id.pick)))
        // All letters of the primary action are there.
        val pick = activity.findViewById<Button>(R.id.pick)
        assertTrue((0 until pick.lineCount).all { pick.layout.getEllipsisCount(it) == 0 })
        assertFalse(pick.transformationMethod != null && pick.isAllCaps)
    }

    private fun shot(
        activity: Activity,
        name: String,
    ) {
        assertReachable(activity)
        shoot(activity, name)
    }

    @Test
    fun `bars and the camera's hole cover nothing`() {
        RuntimeEnvironment.setQualifiers("w740dp-h360dp-land-xhdpi")
        val activity = withPhoto()
        val insets =
            WindowInsets
                .Builder()
                .setInsets(WindowInsets.Type.statusBars(), Insets.of(0, STATUS_BAR, 0, 0))
                .setInsets(WindowInsets.Type.navigationBars(), Insets.of(0, 0, 0, NAVIGATION_BAR))
                .setInsets(WindowInsets.Type.displayCutout(), Insets.of(HOLE, 0, 0, 0))
                .build()
        activity.window.decorView.dispatchApplyWindowInsets(insets)
        idle()
        val decor = activity.window.decorView
        val free = Rect(HOLE, STATUS_BAR, decor.width, decor.height - NAVIGATION_BAR)
        for (id in listOf(R.id.bar, R.id.photo, R.id.sheet_scroll, R.id.pick, R.id.camera)) {
            assertTrue("${activity.place(id)} in $free", free.contains(activity.place(id)))
        }
        assertEquals(HOLE, activity.place(R.id.photo).left)
        shot(activity, "landscape_cutout")
    }

    @Test
    fun `letters of twice the size`() {
        RuntimeEnvironment.setFontScale(2f)
        val activity = withPhoto()
        shot(activity, "large_letters")
        activity.answer(R.id.open, content("int8.ptl", "tiny too".toByteArray()))
        workbenchSelectBoth()
        // Two cards do not fit beside each other.
        assertEquals(LinearLayout.VERTICAL, activity.findViewById<LinearLayout>(R.id.results).orientation)
    }

    private fun workbenchSelectBoth() {
        application.workbench.select(application.workbench.state.models)
        idle()
    }

    @Test
    @Config(qualifiers = "w360dp-h740dp-night-xhdpi")
    fun `by night`() = shot(withPhoto(), "dark_photo")

    @Test
    @Config(qualifiers = "ar-ldrtl-w360dp-h740dp-xhdpi")
    fun `from right to left`() {
        val activity = withPhoto()
        assertEquals(View.LAYOUT_DIRECTION_RTL, activity.findViewById<View>(R.id.root).layoutDirection)
        assertTrue(activity.place(R.id.pick).left < activity.place(R.id.camera).left)
        shot(activity, "right_to_left")
    }

    @Test
    @Config(qualifiers = "w740dp-h360dp-land-xhdpi")
    fun `on its side the photo stands beside the sheet`() {
        val activity = withPhoto()
        assertTrue(activity.place(R.id.photo).right <= activity.place(R.id.sheet).left)
        shot(activity, "landscape")
    }

    @Test
    @Config(qualifiers = "w1280dp-h800dp-land-mdpi")
    fun `on a tablet`() {
        val activity = withPhoto()
        assertTrue(activity.place(R.id.photo).right <= activity.place(R.id.sheet).left)
        shot(activity, "tablet")
    }

    @Test
    @Config(qualifiers = "de-w360dp-h740dp-xhdpi")
    fun `in German`() {
        val activity = withPhoto()
        assertEquals("Foto wählen", activity.text(R.id.pick))
        assertEquals("Dieses Telefon rechnet wie der Computer.", activity.badge())
        shot(activity, "german")
    }

    @Test
    fun `every string is there in German, with the same places for values`() {
        val places = Regex("%\\d\\$[.0-9]*[a-z]")
        val ids = R.string::class.java.fields.filterNot { it.name in setOf("runtime_version", "executorch_version", "model_public_key") }

        fun texts(qualifiers: String) =
            ids.associate {
                RuntimeEnvironment.setQualifiers(qualifiers)
                it.name to application.getString(it.getInt(null))
            }
        val english = texts("en")
        val german = texts("de")
        assertTrue("${ids.size}", ids.size > 80)
        for ((name, text) in english) {
            assertEquals(
                name,
                places.findAll(text).map { it.value }.toSet(),
                places.findAll(german.getValue(name)).map { it.value }.toSet(),
            )
        }
        // Some words are the same in both; sentences are not.
        assertEquals(
            emptyList<String>(),
            english
                .filter { (name, text) ->
                    text.count { it == ' ' } > 3 && text == german[name] &&
                        "%" !in text
                }.keys
                .toList(),
        )
    }

    @Test
    fun `with TalkBack on, filling the lists chooses nothing and rows stay themselves`() {
        shadowOf(application.getSystemService(Activity.ACCESSIBILITY_SERVICE) as AccessibilityManager).setEnabled(true)
        val activity = withPhoto()
        activity.answer(R.id.open, content("int8.ptl", "tiny too".toByteArray()))
        assertEquals(
            listOf("int8.ptl"),
            application.workbench.state.chosen
                .map { it.file.name },
        )
        val rows = activity.findViewById<ViewGroup>(R.id.rows)
        val before = List(rows.childCount) { rows.getChildAt(it) }
        val badge = activity.findViewById<LinearLayout>(R.id.badges).getChildAt(0)
        val words = before.map { "${it.contentDescription}" }
        activity.answer(R.id.pick, picture("other.png") { x, y -> -0x1000000 or (3 * y shl 16) or (2 * x) })
        val after = activity.findViewById<ViewGroup>(R.id.rows)
        assertEquals(before.size, after.childCount)
        before.forEachIndexed { index, row -> assertSame(row, after.getChildAt(index)) }
        assertSame(badge, activity.findViewById<LinearLayout>(R.id.badges).getChildAt(0))
        assertTrue("$words", words != List(after.childCount) { "${after.getChildAt(it).contentDescription}" })
        // Whatever has no words says what it is.
        val silent =
            all(activity.findViewById(R.id.root)).filter {
                it.isShown && it.isClickable && it !is android.widget.Spinner && it !is TextView && it.contentDescription.isNullOrEmpty()
            }
        assertEquals(emptyList<View>(), silent)
    }

    @Test
    fun `the details hold the numbers`() {
        launchMain()
        val activity = Robolectric.buildActivity(DetailsActivity::class.java).setup().get()
        val rows = activity.findViewById<ViewGroup>(R.id.rows)
        val words = List(rows.childCount) { "${rows.getChildAt(it).contentDescription}" }
        assertTrue("$words", "Golden inputs that match, 3 of 3" in words)
        assertTrue("$words", "Allowed difference, 1.0e-05" in words)
        val load = rows.getChildAt(rows.childCount - 1).findViewById<TextView>(R.id.figures)
        load.text = activity.getString(R.string.milliseconds, 12)
        shoot(activity, "details")
    }

    @Test
    fun `the live preview shows rows and frames a second, in the same views`() {
        launchMain()
        for ((name, qualifiers) in mapOf("live" to "w360dp-h740dp-xhdpi", "live_landscape" to "w740dp-h360dp-land-xhdpi")) {
            RuntimeEnvironment.setQualifiers(qualifiers)
            val activity = Robolectric.buildActivity(LiveActivity::class.java).setup().get()
            val path =
                application.workbench.state.models
                    .single()
                    .path
            val model = VisionModel.open(File(path), runtimes = application.madeRuntimes())
            val frame = ShownResult(model.run(Photo(RgbImage(48, 64, ByteArray(64 * 48 * 3) { it.toByte() }))))
            activity.show(frame)
            val rows = activity.findViewById<ViewGroup>(R.id.rows)
            val first = rows.getChildAt(0)
            shadowOf(Looper.getMainLooper()).idleFor(Duration.ofMillis(40))
            activity.show(frame)
            assertSame(first, rows.getChildAt(0))
            assertEquals(5, rows.childCount)
            assertTrue(activity.text(R.id.live_status), " frames a second · " in activity.text(R.id.live_status))
            for (id in listOf(R.id.torch, R.id.turn, R.id.zoom)) activity.findViewById<View>(id).visibility = View.VISIBLE
            activity.findViewById<TextView>(R.id.live_status).text = activity.getString(R.string.live_latency, 24.5, 12.3)
            shoot(activity, name)
        }
    }

    @Test
    fun `zoom takes the middle`() {
        assertEquals(Rect(0, 0, 4000, 3000), middle(Rect(0, 0, 4000, 3000), 1f))
        assertEquals(Rect(1008, 758, 3008, 2258), middle(Rect(8, 8, 4008, 3008), 2f))
    }

    @Test
    fun `the benchmark keeps the keyboard away and the screen on`() {
        launchMain()
        val activity = Robolectric.buildActivity(BenchmarkActivity::class.java).setup().get()
        assertFalse(activity.findViewById<EditText>(R.id.warm_up).isFocused)
        assertFalse(activity.findViewById<View>(R.id.outcome).keepScreenOn)
    }
}

package dev.torchmobile.demo

import android.content.Context
import android.graphics.SurfaceTexture
import android.hardware.camera2.CameraCharacteristics
import android.hardware.camera2.CameraManager
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNotNull
import org.junit.Assert.assertNull
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config
import org.robolectric.shadow.api.Shadow
import org.robolectric.shadows.ShadowCameraCharacteristics
import org.robolectric.util.ReflectionHelpers

/** The camera of the live preview: which one, and what becomes of answers that come too late. */
@RunWith(RobolectricTestRunner::class)
@Config(sdk = [35], application = TestApplication::class)
class LiveScreensTest {
    private val context get() = RuntimeEnvironment.getApplication()
    private val manager get() = context.getSystemService(Context.CAMERA_SERVICE) as CameraManager
    private val problems = mutableListOf<String>()

    private fun add(
        id: String,
        facing: Int,
        degrees: Int,
        hasTorch: Boolean = false,
    ) {
        val facts = ShadowCameraCharacteristics.newCameraCharacteristics()
        val shadow = Shadow.extract<ShadowCameraCharacteristics>(facts)
        shadow.set(CameraCharacteristics.LENS_FACING, facing)
        shadow.set(CameraCharacteristics.SENSOR_ORIENTATION, degrees)
        shadow.set(CameraCharacteristics.FLASH_INFO_AVAILABLE, hasTorch)
        shadow.set(CameraCharacteristics.SCALER_AVAILABLE_MAX_DIGITAL_ZOOM, 20f)
        shadowOf(manager).addCamera(id, facts)
    }

    private fun camera() = LiveCamera(context, {}, { problems += it })

    private fun open(camera: LiveCamera) {
        camera.open(SurfaceTexture(0))
        idle()
    }

    @Test
    fun `without a camera the screen says so`() {
        val camera = camera()
        open(camera)
        assertFalse(camera.isOpen)
        assertEquals(listOf("The camera cannot be used: this device does not have one."), problems)
    }

    @Test
    fun `the back camera comes first, and the other one on request`() {
        add("0", CameraCharacteristics.LENS_FACING_FRONT, 270)
        add("1", CameraCharacteristics.LENS_FACING_BACK, 90, hasTorch = true)
        val camera = camera()
        open(camera)
        assertTrue(camera.isOpen && camera.hasOther && camera.hasTorch && !camera.isFront)
        assertEquals(90, camera.sensorDegrees)
        assertEquals(8f, camera.mostZoom)
        camera.zoom = 100f
        camera.torch = true
        assertEquals(8f, camera.zoom)
        camera.close()
        camera.turn()
        open(camera)
        assertTrue(camera.isFront && !camera.hasTorch && !camera.torch)
        assertEquals(270, camera.sensorDegrees)
        assertEquals(1f, camera.zoom)
        assertEquals(emptyList<String>(), problems)
        camera.close()
    }

    @Test
    fun `what the camera answers to an open that is over touches nothing`() {
        add("1", CameraCharacteristics.LENS_FACING_BACK, 90)
        val camera = camera()
        // Left and come back to before the first answer is there.
        camera.open(SurfaceTexture(0))
        camera.close()
        open(camera)
        assertTrue(camera.isOpen)
        assertNotNull(ReflectionHelpers.getField<Any?>(camera, "device"))
        assertEquals(emptyList<String>(), problems)
        // And left for good: the answer to the open gives the camera back at once.
        camera.close()
        camera.open(SurfaceTexture(0))
        camera.close()
        idle()
        assertFalse(camera.isOpen)
        assertNull(ReflectionHelpers.getField<Any?>(camera, "device"))
        assertEquals(emptyList<String>(), problems)
    }

    @Test
    fun `a camera that another app takes is closed and explained`() {
        add("1", CameraCharacteristics.LENS_FACING_BACK, 90)
        val camera = camera()
        open(camera)
        shadowOf(manager).triggerDisconnect()
        idle()
        assertFalse(camera.isOpen)
        assertEquals(listOf("The camera cannot be used: another app is using it."), problems)
    }
}

package dev.torchmobile.demo

import android.content.Context
import android.graphics.ImageFormat
import android.graphics.Rect
import android.graphics.SurfaceTexture
import android.hardware.camera2.CameraAccessException
import android.hardware.camera2.CameraCaptureSession
import android.hardware.camera2.CameraCharacteristics
import android.hardware.camera2.CameraDevice
import android.hardware.camera2.CameraManager
import android.hardware.camera2.CaptureRequest
import android.media.Image
import android.media.ImageReader
import android.os.Handler
import android.os.HandlerThread
import android.os.Looper
import android.view.Surface
import kotlin.math.roundToInt

/** YUV at 640 x 480 is a size every camera2 device has to offer. */
const val FRAME_WIDTH = 640
const val FRAME_HEIGHT = 480

private const val MOST_ZOOM = 8f

/**
 * One of the device's cameras, on [context]'s screen: its preview, and its frames for [frame], on a thread of
 * its own. [problem] hears on the main thread why there are none.
 */
class LiveCamera(
    private val context: Context,
    private val frame: (Image) -> Unit,
    private val problem: (String) -> Unit,
) {
    private val manager = context.getSystemService(Context.CAMERA_SERVICE) as CameraManager
    private val main = Handler(Looper.getMainLooper())
    private var thread: HandlerThread? = null
    private var device: CameraDevice? = null
    private var session: CameraCaptureSession? = null
    private var reader: ImageReader? = null
    private var surfaces = emptyList<Surface>()
    private var facts: CameraCharacteristics? = null
    private var facing = CameraCharacteristics.LENS_FACING_BACK

    /** Whether it was opened, and not closed since. */
    val isOpen: Boolean get() = thread != null

    /** By how many degrees its frames lie turned, clockwise, on a device held upright. Read where frames come in, too. */
    @Volatile
    var sensorDegrees = 0
        private set

    /** Whether it looks at who holds the device. */
    @Volatile
    var isFront = false
        private set

    val hasTorch: Boolean get() = facts?.get(CameraCharacteristics.FLASH_INFO_AVAILABLE) == true

    /** How far it zooms, at most 8; 1: not at all. */
    val mostZoom: Float get() = (facts?.get(CameraCharacteristics.SCALER_AVAILABLE_MAX_DIGITAL_ZOOM) ?: 1f).coerceAtMost(MOST_ZOOM)

    /** Whether there is one on either side. */
    val hasOther: Boolean get() = facingOf().values.distinct().size > 1

    /** Whether the torch is lit. */
    var torch = false
        set(value) {
            field = value
            repeat()
        }

    /** How much closer than it is, from 1 to [mostZoom]. */
    var zoom = 1f
        set(value) {
            field = value.coerceIn(1f, mostZoom)
            repeat()
        }

    /** Start on [texture]; the permission was given. */
    fun open(texture: SurfaceTexture) {
        if (isOpen) return
        try {
            val ids = facingOf()
            val id =
                ids.entries.firstOrNull { it.value == facing }?.key ?: ids.keys.firstOrNull()
                    ?: return say(context.getString(R.string.no_camera))
            facts = manager.getCameraCharacteristics(id)
            sensorDegrees = facts?.get(CameraCharacteristics.SENSOR_ORIENTATION) ?: 0
            isFront = ids[id] == CameraCharacteristics.LENS_FACING_FRONT
            val started = HandlerThread("camera").apply { start() }
            thread = started
            manager.openCamera(id, Opened(started, texture), main)
        } catch (error: CameraAccessException) {
            close()
            say(error.message ?: context.getString(R.string.camera_taken))
        } catch (error: IllegalArgumentException) {
            close()
            say(error.message ?: context.getString(R.string.camera_gone))
        } catch (_: SecurityException) {
            close()
            say(context.getString(R.string.camera_not_allowed))
        }
    }

    /** Take the camera on the other side from the next [open] on. */
    fun turn() {
        val isBack = facing == CameraCharacteristics.LENS_FACING_BACK
        facing = if (isBack) CameraCharacteristics.LENS_FACING_FRONT else CameraCharacteristics.LENS_FACING_BACK
        torch = false
        zoom = 1f
    }

    /** Give the camera back. */
    fun close() {
        session = null
        device?.close()
        device = null
        // Wait for the frame in hand: reading one of a closed reader would crash.
        thread?.quitSafely()
        thread?.join()
        thread = null
        reader?.close()
        reader = null
        surfaces = emptyList()
    }

    private fun facingOf(): Map<String, Int?> =
        manager.cameraIdList.associateWith { manager.getCameraCharacteristics(it).get(CameraCharacteristics.LENS_FACING) }

    private fun say(why: String) = problem(context.getString(R.string.camera_problem, why))

    /** What the camera answers to the open that [started] this thread; the screen may have been left since. */
    private inner class Opened(
        private val started: HandlerThread,
        private val texture: SurfaceTexture,
    ) : CameraDevice.StateCallback() {
        private val isOld get() = thread !== started

        override fun onOpened(camera: CameraDevice) {
            if (isOld) return camera.close()
            device = camera
            texture.setDefaultBufferSize(FRAME_WIDTH, FRAME_HEIGHT)
            val frames = ImageReader.newInstance(FRAME_WIDTH, FRAME_HEIGHT, ImageFormat.YUV_420_888, 2)
            reader = frames
            frames.setOnImageAvailableListener({ it.acquireLatestImage()?.use(frame) }, Handler(started.looper))
            surfaces = listOf(Surface(texture), frames.surface)
            start(camera)
        }

        override fun onDisconnected(camera: CameraDevice) = lost(camera, context.getString(R.string.camera_taken))

        override fun onError(
            camera: CameraDevice,
            error: Int,
        ) = lost(camera, context.getString(R.string.camera_error, error))

        private fun lost(
            camera: CameraDevice,
            why: String,
        ) {
            // It may not have come as far as `device`, and a later open is not this one's to close.
            camera.close()
            if (isOld) return
            close()
            say(why)
        }

        @Suppress("DEPRECATION") // createCaptureSession: its successor needs API 28, the app runs from 24
        private fun start(camera: CameraDevice) =
            try {
                camera.createCaptureSession(
                    surfaces,
                    object : CameraCaptureSession.StateCallback() {
                        override fun onConfigured(configured: CameraCaptureSession) {
                            if (isOld) return
                            session = configured
                            repeat()
                        }

                        override fun onConfigureFailed(configured: CameraCaptureSession) {
                            if (!isOld) say(context.getString(R.string.camera_no_preview))
                        }
                    },
                    main,
                )
            } catch (error: CameraAccessException) {
                say(error.message ?: context.getString(R.string.camera_stopped))
            }
    }

    /** Ask for frames again, with torch and zoom as they are now. */
    private fun repeat() {
        val running = session ?: return
        try {
            val request = running.device.createCaptureRequest(CameraDevice.TEMPLATE_PREVIEW)
            surfaces.forEach(request::addTarget)
            request.set(CaptureRequest.CONTROL_AF_MODE, CaptureRequest.CONTROL_AF_MODE_CONTINUOUS_PICTURE)
            request.set(CaptureRequest.FLASH_MODE, if (torch) CaptureRequest.FLASH_MODE_TORCH else CaptureRequest.FLASH_MODE_OFF)
            facts?.get(CameraCharacteristics.SENSOR_INFO_ACTIVE_ARRAY_SIZE)?.let {
                request.set(CaptureRequest.SCALER_CROP_REGION, middle(it, zoom))
            }
            running.setRepeatingRequest(request.build(), null, null)
        } catch (_: IllegalStateException) {
            // The screen was left while the camera started.
        } catch (error: CameraAccessException) {
            say(error.message ?: context.getString(R.string.camera_stopped))
        }
    }
}

/** The middle of [whole], [zoom] times smaller on each side. */
internal fun middle(
    whole: Rect,
    zoom: Float,
): Rect {
    val (width, height) = (whole.width() / zoom).roundToInt() to (whole.height() / zoom).roundToInt()
    val left = whole.left + (whole.width() - width) / 2
    val top = whole.top + (whole.height() - height) / 2
    return Rect(left, top, left + width, top + height)
}

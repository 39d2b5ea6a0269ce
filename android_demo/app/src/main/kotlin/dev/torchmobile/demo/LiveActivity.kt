package dev.torchmobile.demo

import android.Manifest
import android.app.Activity
import android.content.Context
import android.content.pm.PackageManager
import android.graphics.ImageFormat
import android.graphics.Matrix
import android.graphics.RectF
import android.graphics.SurfaceTexture
import android.hardware.camera2.CameraAccessException
import android.hardware.camera2.CameraCaptureSession
import android.hardware.camera2.CameraCharacteristics
import android.hardware.camera2.CameraDevice
import android.hardware.camera2.CameraManager
import android.hardware.camera2.CaptureRequest
import android.hardware.display.DisplayManager
import android.media.Image
import android.media.ImageReader
import android.os.Bundle
import android.os.Handler
import android.os.HandlerThread
import android.view.Surface
import android.view.TextureView
import android.widget.TextView
import dev.torchmobile.core.LatencyWindow
import dev.torchmobile.core.Plane
import dev.torchmobile.core.orientationOf
import dev.torchmobile.core.upright
import dev.torchmobile.core.yuvImage
import kotlin.math.max

private const val WIDTH = 640
private const val HEIGHT = 480
private const val QUARTER = 90

/** The back camera's preview, classified frame by frame: a frame that comes while one is in work is dropped. */
class LiveActivity : Activity() {
    private val workbench get() = (application as DemoApplication).workbench
    private val preview get() = findViewById<TextureView>(R.id.preview)
    private var thread: HandlerThread? = null
    private var camera: CameraDevice? = null
    private var reader: ImageReader? = null
    private var sensorDegrees = 0

    // Read where frames come in.
    @Volatile
    private var rotation = Surface.ROTATION_0
    private var latency = LatencyWindow()

    // A turn by 180 degrees changes neither sizes nor the configuration.
    private val turned =
        object : DisplayManager.DisplayListener {
            override fun onDisplayAdded(displayId: Int) = Unit

            override fun onDisplayRemoved(displayId: Int) = Unit

            override fun onDisplayChanged(displayId: Int) = turnPreview()
        }

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContentView(R.layout.live)
        preview.surfaceTextureListener =
            object : TextureView.SurfaceTextureListener {
                override fun onSurfaceTextureAvailable(
                    surface: SurfaceTexture,
                    width: Int,
                    height: Int,
                ) = open()

                override fun onSurfaceTextureSizeChanged(
                    surface: SurfaceTexture,
                    width: Int,
                    height: Int,
                ) = turnPreview()

                override fun onSurfaceTextureDestroyed(surface: SurfaceTexture) = true

                override fun onSurfaceTextureUpdated(surface: SurfaceTexture) = Unit
            }
    }

    override fun onResume() {
        super.onResume()
        (getSystemService(Context.DISPLAY_SERVICE) as DisplayManager).registerDisplayListener(turned, Handler(mainLooper))
        turnPreview()
        if (preview.isAvailable) open()
    }

    override fun onPause() {
        (getSystemService(Context.DISPLAY_SERVICE) as DisplayManager).unregisterDisplayListener(turned)
        close()
        super.onPause()
    }

    private fun open() {
        if (camera != null || thread != null) return
        val manager = getSystemService(Context.CAMERA_SERVICE) as CameraManager
        try {
            if (checkSelfPermission(Manifest.permission.CAMERA) != PackageManager.PERMISSION_GRANTED) {
                return say(Problem.camera(getString(R.string.camera_refused)))
            }
            val id = backCamera(manager) ?: return say(Problem.camera(getString(R.string.no_camera)))
            sensorDegrees = manager.getCameraCharacteristics(id).get(CameraCharacteristics.SENSOR_ORIENTATION) ?: 0
            val started = HandlerThread("camera").apply { start() }
            thread = started
            manager.openCamera(id, opened(started), Handler(mainLooper))
        } catch (error: CameraAccessException) {
            close()
            say(Problem.camera(error.message ?: "another app is using it"))
        } catch (error: IllegalArgumentException) {
            close()
            say(Problem.camera(error.message ?: "it was disconnected"))
        }
    }

    private fun backCamera(manager: CameraManager): String? =
        manager.cameraIdList.firstOrNull {
            val facing = manager.getCameraCharacteristics(it).get(CameraCharacteristics.LENS_FACING)
            facing == CameraCharacteristics.LENS_FACING_BACK
        } ?: manager.cameraIdList.firstOrNull()

    /** What the camera answers to the open that [started] this thread; the screen may have been left since. */
    private fun opened(started: HandlerThread) =
        object : CameraDevice.StateCallback() {
            override fun onOpened(device: CameraDevice) {
                if (thread !== started) return device.close()
                camera = device
                val texture = preview.surfaceTexture ?: return close()
                // YUV at 640 x 480 is a size every camera2 device has to offer.
                texture.setDefaultBufferSize(WIDTH, HEIGHT)
                turnPreview()
                val frames = ImageReader.newInstance(WIDTH, HEIGHT, ImageFormat.YUV_420_888, 2)
                reader = frames
                frames.setOnImageAvailableListener({ it.acquireLatestImage()?.use(::classify) }, Handler(started.looper))
                start(device, listOf(Surface(texture), frames.surface))
            }

            override fun onDisconnected(device: CameraDevice) = lost(device, "another app took it")

            override fun onError(
                device: CameraDevice,
                error: Int,
            ) = lost(device, "error $error of the camera")

            private fun lost(
                device: CameraDevice,
                why: String,
            ) {
                // It may not have come as far as `camera`, and a later open is not this one's to close.
                device.close()
                if (thread !== started) return
                close()
                say(Problem.camera(why))
            }
        }

    @Suppress("DEPRECATION") // createCaptureSession: its successor needs API 28, the app runs from 24
    private fun start(
        device: CameraDevice,
        surfaces: List<Surface>,
    ) = try {
        device.createCaptureSession(
            surfaces,
            object : CameraCaptureSession.StateCallback() {
                override fun onConfigured(session: CameraCaptureSession) {
                    try {
                        val request = device.createCaptureRequest(CameraDevice.TEMPLATE_PREVIEW)
                        surfaces.forEach(request::addTarget)
                        request.set(CaptureRequest.CONTROL_AF_MODE, CaptureRequest.CONTROL_AF_MODE_CONTINUOUS_PICTURE)
                        session.setRepeatingRequest(request.build(), null, null)
                    } catch (_: IllegalStateException) {
                        // The screen was left while the camera started.
                    } catch (error: CameraAccessException) {
                        say(Problem.camera(error.message ?: "it stopped"))
                    }
                }

                override fun onConfigureFailed(session: CameraCaptureSession) = say(Problem.camera("it refuses the preview"))
            },
            Handler(mainLooper),
        )
    } catch (error: CameraAccessException) {
        say(Problem.camera(error.message ?: "it stopped"))
    }

    /** Hand a frame on; it is converted and turned on this thread, the camera's, if it is wanted at all. */
    private fun classify(frame: Image) =
        workbench.classifyFrame({
            val planes = frame.planes.map { Plane(it.buffer, it.rowStride, it.pixelStride) }
            val image = yuvImage(frame.width, frame.height, planes[0], planes[1], planes[2])
            image.upright(orientationOf(sensorDegrees - QUARTER * rotation))
        }, ::show)

    private fun show(result: Result<ShownResult>) {
        // An answer may come when the camera has been given back.
        if (isDestroyed || thread == null) return
        result.onFailure { say(it.message ?: Problem.unexpected("$it")) }
        result.onSuccess {
            latency += it.result.milliseconds
            showResult(findViewById(R.id.live_result), it, workbench.threshold)
            findViewById<TextView>(R.id.live_status).text =
                getString(R.string.latency, latency.median ?: it.result.milliseconds, latency.samples.size)
        }
    }

    private fun say(sentence: String) {
        findViewById<TextView>(R.id.live_status).text = sentence
    }

    private fun close() {
        camera?.close()
        camera = null
        // Wait for the frame in hand: reading one of a closed reader would crash.
        thread?.quitSafely()
        thread?.join()
        thread = null
        reader?.close()
        reader = null
    }

    @Suppress("DEPRECATION") // defaultDisplay: Context.getDisplay needs API 30, the app runs from 24
    private fun displayRotation(): Int = windowManager.defaultDisplay.rotation

    /** Turn and scale the preview so that it fills the view upright: its frames lie on their side. */
    private fun turnPreview() {
        rotation = displayRotation()
        if (preview.width == 0) return
        val view = RectF(0f, 0f, preview.width.toFloat(), preview.height.toFloat())
        val frame = RectF(0f, 0f, HEIGHT.toFloat(), WIDTH.toFloat())
        frame.offset(view.centerX() - frame.centerX(), view.centerY() - frame.centerY())
        val sideways = rotation == Surface.ROTATION_90 || rotation == Surface.ROTATION_270
        // The view stretches the frame to itself; undo that, then scale evenly.
        val matrix = Matrix().apply { setRectToRect(view, frame, Matrix.ScaleToFit.FILL) }
        val across = if (sideways) view.height() else view.width()
        val along = if (sideways) view.width() else view.height()
        val scale = max(across / HEIGHT, along / WIDTH)
        matrix.postScale(scale, scale, view.centerX(), view.centerY())
        matrix.postRotate((-QUARTER * rotation).toFloat(), view.centerX(), view.centerY())
        preview.setTransform(matrix)
    }
}

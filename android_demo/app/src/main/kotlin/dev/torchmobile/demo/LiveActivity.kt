package dev.torchmobile.demo

import android.Manifest
import android.app.Activity
import android.content.Context
import android.content.pm.PackageManager
import android.graphics.Matrix
import android.graphics.RectF
import android.graphics.SurfaceTexture
import android.hardware.display.DisplayManager
import android.media.Image
import android.os.Bundle
import android.os.Handler
import android.os.SystemClock
import android.view.Surface
import android.view.TextureView
import android.view.View
import android.widget.ImageButton
import android.widget.SeekBar
import android.widget.TextView
import dev.torchmobile.core.FrameRate
import dev.torchmobile.core.FrameReader
import dev.torchmobile.core.LatencyWindow
import dev.torchmobile.core.Plane
import dev.torchmobile.core.orientationOf
import kotlin.math.max

private const val QUARTER = 90
private const val ZOOM_STEPS = 100f

/** A camera's preview, classified frame by frame: a frame that comes while one is in work is dropped. */
class LiveActivity : Activity() {
    private val workbench get() = (application as DemoApplication).workbench
    private val preview get() = findViewById<TextureView>(R.id.preview)
    private val camera by lazy { LiveCamera(this, ::classify, ::say) }
    private val reader = FrameReader()

    // Read where frames come in.
    @Volatile
    private var rotation = Surface.ROTATION_0
    private var latency = LatencyWindow()
    private var rate = FrameRate()

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
        edgeToEdge(window, findViewById(R.id.root))
        preview.keepScreenOn = true
        button(R.id.back) { finish() }
        button(R.id.torch) { camera.torch = !camera.torch }
        button(R.id.turn) {
            camera.close()
            camera.turn()
            open()
        }
        findViewById<SeekBar>(R.id.zoom).setOnSeekBarChangeListener(zoomed)
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

    private val zoomed =
        object : SeekBar.OnSeekBarChangeListener {
            override fun onProgressChanged(
                bar: SeekBar,
                progress: Int,
                fromUser: Boolean,
            ) {
                camera.zoom = 1 + (camera.mostZoom - 1) * progress / ZOOM_STEPS
            }

            override fun onStartTrackingTouch(bar: SeekBar) = Unit

            override fun onStopTrackingTouch(bar: SeekBar) = Unit
        }

    override fun onResume() {
        super.onResume()
        (getSystemService(Context.DISPLAY_SERVICE) as DisplayManager).registerDisplayListener(turned, Handler(mainLooper))
        turnPreview()
        if (preview.isAvailable) open()
    }

    override fun onPause() {
        (getSystemService(Context.DISPLAY_SERVICE) as DisplayManager).unregisterDisplayListener(turned)
        camera.close()
        super.onPause()
    }

    private fun button(
        id: Int,
        action: () -> Unit,
    ) = findViewById<ImageButton>(id).run {
        explainItself()
        setOnClickListener { action() }
    }

    private fun open() {
        val texture = preview.surfaceTexture ?: return
        if (checkSelfPermission(Manifest.permission.CAMERA) != PackageManager.PERMISSION_GRANTED) {
            return say(getString(R.string.camera_refused))
        }
        rate = FrameRate()
        camera.open(texture)
        turnPreview()
        show(R.id.torch, camera.hasTorch)
        show(R.id.zoom, camera.mostZoom > 1)
        show(R.id.turn, camera.isOpen && camera.hasOther)
    }

    private fun show(
        id: Int,
        isThere: Boolean,
    ) {
        findViewById<View>(id).visibility = if (isThere) View.VISIBLE else View.GONE
    }

    /** Hand a frame on; it is converted and turned on this thread, the camera's, if it is wanted at all. */
    private fun classify(frame: Image) =
        workbench.classifyFrame({
            val planes = frame.planes.map { Plane(it.buffer, it.rowStride, it.pixelStride) }
            reader.read(frame.width, frame.height, planes[0], planes[1], planes[2], orientationOf(degrees()))
        }, ::show)

    /** How far a frame is to be turned, clockwise; the front camera sees the device turn the other way round. */
    private fun degrees(): Int = camera.sensorDegrees + QUARTER * if (camera.isFront) rotation else -rotation

    private fun show(result: Result<ShownResult>) {
        // An answer may come when the camera has been given back.
        if (isDestroyed || !camera.isOpen) return
        result.onFailure { say(it.message ?: getString(R.string.unexpected, "$it")) }
        result.onSuccess(::show)
    }

    /** Show what a frame gave, and how many come a second. */
    internal fun show(answer: ShownResult) {
        latency += answer.result.milliseconds
        showResult(findViewById(R.id.live_result), findViewById(R.id.picture), answer, workbench.threshold)
        val median = latency.median ?: answer.result.milliseconds
        val frames = rate.tick(SystemClock.elapsedRealtimeNanos())
        say(
            if (frames ==
                null
            ) {
                getString(R.string.latency, median, latency.samples.size)
            } else {
                getString(R.string.live_latency, frames, median)
            },
        )
    }

    private fun say(sentence: String) {
        findViewById<TextView>(R.id.live_status).text = sentence
    }

    @Suppress("DEPRECATION") // defaultDisplay: Context.getDisplay needs API 30, the app runs from 24
    private fun displayRotation(): Int = windowManager.defaultDisplay.rotation

    /** Turn and scale the preview so that it fills the view upright: its frames lie on their side. */
    private fun turnPreview() {
        rotation = displayRotation()
        if (preview.width == 0) return
        val view = RectF(0f, 0f, preview.width.toFloat(), preview.height.toFloat())
        val frame = RectF(0f, 0f, FRAME_HEIGHT.toFloat(), FRAME_WIDTH.toFloat())
        frame.offset(view.centerX() - frame.centerX(), view.centerY() - frame.centerY())
        val sideways = rotation == Surface.ROTATION_90 || rotation == Surface.ROTATION_270
        // The view stretches the frame to itself; undo that, then scale evenly.
        val matrix = Matrix().apply { setRectToRect(view, frame, Matrix.ScaleToFit.FILL) }
        val across = if (sideways) view.height() else view.width()
        val along = if (sideways) view.width() else view.height()
        val scale = max(across / FRAME_HEIGHT, along / FRAME_WIDTH)
        matrix.postScale(scale, scale, view.centerX(), view.centerY())
        matrix.postRotate((-QUARTER * rotation).toFloat(), view.centerX(), view.centerY())
        preview.setTransform(matrix)
    }
}

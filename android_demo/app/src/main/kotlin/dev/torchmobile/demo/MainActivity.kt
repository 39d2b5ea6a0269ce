package dev.torchmobile.demo

import android.Manifest
import android.app.Activity
import android.app.AlertDialog
import android.content.ActivityNotFoundException
import android.content.ClipData
import android.content.Intent
import android.content.pm.PackageManager
import android.net.Uri
import android.os.Build
import android.os.Bundle
import android.provider.MediaStore
import android.provider.Settings
import android.view.Menu
import android.view.MenuItem
import android.view.View
import android.widget.ImageButton

/** One photo, one or two models: what they say about it, and whether this phone computes what Python did. */
class MainActivity : Activity() {
    private val workbench get() = (application as DemoApplication).workbench
    private lateinit var screen: MainScreen
    private val render: () -> Unit = {
        screen.show(workbench.state)
        invalidateOptionsMenu()
    }
    private var dialog: AlertDialog? = null

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContentView(R.layout.main)
        edgeToEdge(window, findViewById(R.id.root))
        setActionBar(findViewById(R.id.bar))
        screen = MainScreen(this, workbench)
        findViewById<View>(R.id.pick).setOnClickListener { pickPhoto() }
        imageButton(R.id.camera) { if (cameraAllowed(PHOTO_PERMISSION)) takePhoto() }
        imageButton(R.id.live) { if (cameraAllowed(LIVE_PERMISSION)) startActivity(Intent(this, LiveActivity::class.java)) }
        if (savedInstanceState == null) take(intent) else restore(savedInstanceState)
    }

    override fun onStart() {
        super.onStart()
        workbench.listen(render)
    }

    override fun onStop() {
        workbench.forget(render)
        super.onStop()
    }

    override fun onDestroy() {
        // A dialog does not outlive its activity, which a rotation ends.
        dialog?.dismiss()
        super.onDestroy()
    }

    override fun onNewIntent(intent: Intent) {
        super.onNewIntent(intent)
        take(intent)
    }

    override fun onSaveInstanceState(outState: Bundle) {
        super.onSaveInstanceState(outState)
        val (models, photo) = workbench.inHand()
        outState.putStringArray(MODELS, models.toTypedArray())
        outState.putString(PHOTO, photo?.toString())
        workbench.threshold?.let { outState.putDouble(THRESHOLD, it) }
    }

    /** What was there when the system ended the process; a living one has it still. */
    private fun restore(saved: Bundle) {
        val threshold = if (saved.containsKey(THRESHOLD)) saved.getDouble(THRESHOLD) else null
        workbench.restore(saved.getStringArray(MODELS).orEmpty().toList(), saved.getString(PHOTO)?.let(Uri::parse), threshold)
    }

    /** A photo or a model that another app opens with this one, or shares with it. */
    private fun take(intent: Intent) {
        @Suppress("DEPRECATION") // Its successor needs API 33, the app runs from 24
        val uri =
            when (intent.action) {
                Intent.ACTION_VIEW -> intent.data
                Intent.ACTION_SEND -> intent.getParcelableExtra<Uri>(Intent.EXTRA_STREAM)
                else -> null
            } ?: return
        if (intent.type.orEmpty().startsWith("image/")) workbench.classifyPhoto(uri) else workbench.openModel(uri)
    }

    override fun onCreateOptionsMenu(menu: Menu): Boolean {
        menuInflater.inflate(R.menu.main, menu)
        return true
    }

    override fun onPrepareOptionsMenu(menu: Menu): Boolean {
        val state = workbench.state
        val usable = !state.isBusy && state.chosen.isNotEmpty()
        menu.findItem(R.id.open).isEnabled = !state.isBusy
        menu.findItem(R.id.benchmark).isEnabled = usable
        menu.findItem(R.id.details).isEnabled = usable
        menu.findItem(R.id.delete).isEnabled = usable &&
            state.chosen
                .first()
                .file.isOpened
        return true
    }

    override fun onOptionsItemSelected(item: MenuItem): Boolean {
        when (item.itemId) {
            R.id.open -> {
                launch(Intent(Intent.ACTION_OPEN_DOCUMENT).addCategory(Intent.CATEGORY_OPENABLE).setType("*/*"), OPEN)
            }

            R.id.benchmark -> {
                startActivity(Intent(this, BenchmarkActivity::class.java))
            }

            R.id.details -> {
                startActivity(Intent(this, DetailsActivity::class.java))
            }

            R.id.delete -> {
                workbench.state.chosen
                    .firstOrNull()
                    ?.let { askToDelete(it.file) }
            }

            else -> {
                return super.onOptionsItemSelected(item)
            }
        }
        return true
    }

    private fun askToDelete(model: ModelFile) =
        show(
            AlertDialog
                .Builder(this)
                .setMessage(getString(R.string.delete_sure, model.name))
                .setPositiveButton(R.string.delete_yes) { _, _ -> workbench.delete(model) }
                .setNegativeButton(android.R.string.cancel, null),
        )

    @Deprecated("The platform's way without androidx")
    override fun onActivityResult(
        requestCode: Int,
        resultCode: Int,
        data: Intent?,
    ) {
        if (resultCode != RESULT_OK) return
        when (requestCode) {
            PICK -> data?.data?.let(workbench::classifyPhoto)
            CAMERA -> workbench.classifyPhoto(SharedFileProvider.shared(this, SharedFileProvider.PHOTO).second)
            OPEN -> data?.data?.let(workbench::openModel)
        }
    }

    override fun onRequestPermissionsResult(
        requestCode: Int,
        permissions: Array<String>,
        grantResults: IntArray,
    ) {
        if (grantResults.firstOrNull() != PackageManager.PERMISSION_GRANTED) {
            val settings = Intent(Settings.ACTION_APPLICATION_DETAILS_SETTINGS, Uri.fromParts("package", packageName, null))
            show(
                AlertDialog
                    .Builder(this)
                    .setMessage(R.string.camera_refused)
                    .setPositiveButton(R.string.camera_settings) { _, _ -> startActivity(settings) }
                    .setNegativeButton(android.R.string.cancel, null),
            )
        } else if (requestCode == PHOTO_PERMISSION) {
            takePhoto()
        } else {
            startActivity(Intent(this, LiveActivity::class.java))
        }
    }

    // The camera app needs no permission of ours, except that Android refuses its intent to an app
    // that declares CAMERA (for the live preview) and has not been granted it.
    private fun cameraAllowed(request: Int): Boolean {
        if (checkSelfPermission(Manifest.permission.CAMERA) == PackageManager.PERMISSION_GRANTED) return true
        requestPermissions(arrayOf(Manifest.permission.CAMERA), request)
        return false
    }

    /** With the system's photo picker, which shows photos alone and asks for nothing; else among all documents. */
    @Suppress("DEPRECATION") // startActivityForResult: the platform's way without androidx
    private fun pickPhoto() {
        val documents = Intent(Intent.ACTION_OPEN_DOCUMENT).addCategory(Intent.CATEGORY_OPENABLE).setType("image/*")
        if (Build.VERSION.SDK_INT < Build.VERSION_CODES.TIRAMISU) return launch(documents, PICK)
        try {
            startActivityForResult(Intent(MediaStore.ACTION_PICK_IMAGES).setType("image/*"), PICK)
        } catch (_: ActivityNotFoundException) {
            launch(documents, PICK)
        }
    }

    private fun takePhoto() {
        val (file, uri) = SharedFileProvider.shared(this, SharedFileProvider.PHOTO)
        file.delete()
        val intent =
            Intent(MediaStore.ACTION_IMAGE_CAPTURE)
                .putExtra(MediaStore.EXTRA_OUTPUT, uri)
                .addFlags(Intent.FLAG_GRANT_WRITE_URI_PERMISSION or Intent.FLAG_GRANT_READ_URI_PERMISSION)
        intent.clipData = ClipData.newRawUri("", uri)
        launch(intent, CAMERA)
    }

    @Suppress("DEPRECATION") // startActivityForResult: the platform's way without androidx
    private fun launch(
        intent: Intent,
        request: Int,
    ) = try {
        startActivityForResult(intent, request)
    } catch (_: ActivityNotFoundException) {
        show(AlertDialog.Builder(this).setMessage(R.string.no_app).setPositiveButton(android.R.string.ok, null))
    }

    private fun imageButton(
        id: Int,
        action: () -> Unit,
    ) = findViewById<ImageButton>(id).run {
        explainItself()
        setOnClickListener { action() }
    }

    private fun show(next: AlertDialog.Builder) {
        dialog?.dismiss()
        dialog = next.show()
    }

    private companion object {
        const val PICK = 1
        const val CAMERA = 2
        const val OPEN = 3
        const val PHOTO_PERMISSION = 4
        const val LIVE_PERMISSION = 5
        const val MODELS = "models"
        const val PHOTO = "photo"
        const val THRESHOLD = "threshold"
    }
}

package dev.torchmobile.demo

import android.Manifest
import android.app.Activity
import android.app.AlertDialog
import android.content.ActivityNotFoundException
import android.content.ClipData
import android.content.Intent
import android.content.pm.PackageManager
import android.graphics.Bitmap
import android.net.Uri
import android.os.Bundle
import android.provider.MediaStore
import android.view.View
import android.widget.AdapterView
import android.widget.ArrayAdapter
import android.widget.Button
import android.widget.ImageView
import android.widget.LinearLayout
import android.widget.Spinner
import android.widget.TextView
import kotlin.math.roundToInt

/** One photo, one or two models: badge, top-5, latency, memory. */
class MainActivity : Activity() {
    private val workbench get() = (application as DemoApplication).workbench
    private val render: () -> Unit = { show(workbench.state) }
    private var shownPhoto: Bitmap? = null
    private var dialog: AlertDialog? = null

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContentView(R.layout.main)
        button(R.id.pick) { launch(Intent(Intent.ACTION_OPEN_DOCUMENT).addCategory(Intent.CATEGORY_OPENABLE).setType("image/*"), PICK) }
        button(R.id.camera) { if (cameraAllowed(PHOTO_PERMISSION)) takePhoto() }
        button(R.id.live) { if (cameraAllowed(LIVE_PERMISSION)) startActivity(Intent(this, LiveActivity::class.java)) }
        button(R.id.benchmark) { startActivity(Intent(this, BenchmarkActivity::class.java)) }
        button(R.id.open) { launch(Intent(Intent.ACTION_OPEN_DOCUMENT).addCategory(Intent.CATEGORY_OPENABLE).setType("*/*"), OPEN) }
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
            explain(getString(R.string.camera_refused))
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
        explain(getString(R.string.no_app))
    }

    private fun button(
        id: Int,
        action: () -> Unit,
    ) = findViewById<Button>(id).setOnClickListener { action() }

    private fun explain(text: String) {
        dialog?.dismiss()
        dialog =
            AlertDialog
                .Builder(this)
                .setMessage(text)
                .setPositiveButton(android.R.string.ok, null)
                .show()
    }

    private fun show(state: ScreenState) {
        val busy = state is ScreenState.Loading || state is ScreenState.Running
        findViewById<View>(R.id.busy).visibility = if (busy) View.VISIBLE else View.INVISIBLE
        val chosen: List<ReadyModel>
        val photo: Bitmap?
        var columns = emptyList<Column>()
        val status: String
        when (state) {
            is ScreenState.Loading -> {
                chosen = emptyList()
                photo = shownPhoto
                status = getString(R.string.loading, state.what)
            }

            is ScreenState.Ready -> {
                chosen = state.chosen
                photo = null
                status = chosen.firstNotNullOfOrNull { it.refusal } ?: getString(R.string.ready)
            }

            is ScreenState.Running -> {
                chosen = state.chosen
                photo = state.photo
                status = getString(R.string.running)
            }

            is ScreenState.Done -> {
                chosen = state.chosen
                photo = state.photo
                columns = state.columns
                status = doneText(state)
            }

            is ScreenState.Failed -> {
                chosen = state.chosen
                photo = state.photo
                status = state.sentence
            }
        }
        findViewById<TextView>(R.id.status).apply {
            text = status
            setTextColor(getColor(if (state is ScreenState.Failed) R.color.fail else R.color.text))
        }
        showModels(state.models, chosen, enabled = !busy)
        showBadges(chosen)
        showColumns(columns)
        showPhoto(photo, drawn = columns.isNotEmpty() && columns.all { it.shown.isOverPhoto })
        val usable = !busy && chosen.isNotEmpty()
        findViewById<View>(R.id.benchmark).isEnabled = usable
        val forPhotos = usable && chosen.all { it.takesPhotos }
        for (id in listOf(R.id.pick, R.id.camera, R.id.live)) findViewById<View>(id).isEnabled = forPhotos
    }

    private fun doneText(state: ScreenState.Done): String {
        val sizes =
            state.columns.distinctBy { it.shown.result.sample }.mapIndexed { index, column ->
                val result = column.shown.result
                val text = getString(R.string.photo_size, result.width, result.height, result.sample)
                if (index == 0) text else "${column.model.file.name}: $text"
            }
        val memory = state.memoryMb?.let { getString(R.string.memory, it.roundToInt()) }
        return (sizes + listOfNotNull(memory)).joinToString("\n")
    }

    private fun showModels(
        models: List<ModelFile>,
        chosen: List<ReadyModel>,
        enabled: Boolean,
    ) {
        val first = findViewById<Spinner>(R.id.model)
        val second = findViewById<Spinner>(R.id.second)
        findViewById<View>(R.id.models).visibility = if (models.isEmpty()) View.GONE else View.VISIBLE
        // A model that was opened may have the name of one of the app's own.
        val names = models.map { model -> if (models.count { it.name == model.name } > 1) unlike(model) else model.name }
        val places = chosen.map { model -> models.indexOf(model.file) }
        fill(first, names, places.getOrElse(0) { 0 }, enabled)
        fill(second, listOf(getString(R.string.alone)) + names, places.getOrElse(1) { -1 } + 1, enabled && models.size > 1)
        val listener =
            object : AdapterView.OnItemSelectedListener {
                override fun onItemSelected(
                    parent: AdapterView<*>?,
                    view: View?,
                    position: Int,
                    id: Long,
                ) {
                    val wanted =
                        listOfNotNull(models.getOrNull(first.selectedItemPosition), models.getOrNull(second.selectedItemPosition - 1))
                            .distinct()
                    // Filling the lists calls this as well; only a person's choice differs.
                    if (enabled && wanted.isNotEmpty() && wanted != chosen.map { it.file }) workbench.select(wanted)
                }

                override fun onNothingSelected(parent: AdapterView<*>?) = Unit
            }
        first.onItemSelectedListener = listener
        second.onItemSelectedListener = listener
    }

    /** A name that says where the model is from. */
    private fun unlike(model: ModelFile): String =
        getString(if (model.isOpened) R.string.opened_name else R.string.built_in_name, model.name)

    private fun fill(
        spinner: Spinner,
        names: List<String>,
        selected: Int,
        enabled: Boolean,
    ) {
        spinner.onItemSelectedListener = null
        val adapter = ArrayAdapter(this, android.R.layout.simple_spinner_item, names)
        adapter.setDropDownViewResource(android.R.layout.simple_spinner_dropdown_item)
        spinner.adapter = adapter
        spinner.setSelection(selected.coerceAtLeast(0), false)
        spinner.isEnabled = enabled
    }

    private fun showBadges(chosen: List<ReadyModel>) {
        val badges = findViewById<LinearLayout>(R.id.badges)
        badges.removeAllViews()
        for (model in chosen) {
            val view = layoutInflater.inflate(R.layout.badge, badges, false) as TextView
            view.text =
                getString(
                    if (model.verification.passes) R.string.badge_pass else R.string.badge_fail,
                    model.file.name,
                    model.verification.sentence,
                )
            view.setBackgroundResource(if (model.verification.passes) R.drawable.badge_pass else R.drawable.badge_fail)
            view.setOnClickListener { explain(about(model)) }
            badges.addView(view)
        }
    }

    private fun about(model: ReadyModel): String {
        val metadata = model.metadata
        val int8 = if (metadata.quantization == "none") metadata.quantization else "${metadata.quantization}, ${metadata.int8Layers} int8"
        return getString(
            R.string.about_model,
            metadata.model,
            metadata.task?.label ?: getString(R.string.no_task),
            int8,
            metadata.torch,
            metadata.exporter,
            metadata.license ?: "?",
            metadata.tolerance.basis,
            model.loadMilliseconds.roundToInt(),
        )
    }

    /** Show the photo, unless every result has [drawn] it already. */
    private fun showPhoto(
        photo: Bitmap?,
        drawn: Boolean,
    ) {
        val view = findViewById<ImageView>(R.id.photo)
        view.visibility = if (photo == null || drawn) View.GONE else View.VISIBLE
        if (photo === shownPhoto) return
        shownPhoto = photo
        view.setImageBitmap(photo)
    }

    private fun showColumns(columns: List<Column>) {
        val results = findViewById<LinearLayout>(R.id.results)
        results.removeAllViews()
        for (column in columns) {
            val view = layoutInflater.inflate(R.layout.column, results, false) as LinearLayout
            val latency = column.latency.median ?: column.shown.result.milliseconds
            view.findViewById<TextView>(R.id.title).text = column.model.file.name
            view.findViewById<TextView>(R.id.latency).text =
                getString(R.string.latency, latency, column.latency.samples.size)
            showResult(view, column.shown, workbench.threshold) { workbench.threshold = it }
            results.addView(view)
        }
    }

    private companion object {
        const val PICK = 1
        const val CAMERA = 2
        const val OPEN = 3
        const val PHOTO_PERMISSION = 4
        const val LIVE_PERMISSION = 5
    }
}

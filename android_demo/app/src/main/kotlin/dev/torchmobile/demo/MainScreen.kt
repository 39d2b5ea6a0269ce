package dev.torchmobile.demo

import android.app.Activity
import android.content.Intent
import android.graphics.Bitmap
import android.view.LayoutInflater
import android.view.View
import android.view.ViewGroup
import android.widget.AdapterView
import android.widget.ArrayAdapter
import android.widget.ImageView
import android.widget.LinearLayout
import android.widget.Spinner
import android.widget.TextView
import kotlin.math.roundToInt

private const val LARGE_TEXT = 1.3f
private const val GAP_DP = 8

/** Puts states into the views of [activity]; views that stay are filled anew, so that TalkBack keeps its place. */
class MainScreen(
    private val activity: Activity,
    private val workbench: Workbench,
) {
    private val first = activity.findViewById<Spinner>(R.id.model)
    private val second = activity.findViewById<Spinner>(R.id.second)
    private val photoView = activity.findViewById<ImageView>(R.id.photo)
    private val results = activity.findViewById<LinearLayout>(R.id.results)
    private val badges = activity.findViewById<LinearLayout>(R.id.badges)
    private var shownPhoto: Bitmap? = null

    /** Show [state]. */
    fun show(state: ScreenState) {
        val columns = (state as? ScreenState.Done)?.columns.orEmpty()
        activity.findViewById<View>(R.id.busy).visibility = if (state.isBusy) View.VISIBLE else View.GONE
        showStatus(state)
        showModels(state.models, state.chosen, enabled = !state.isBusy)
        showBadges(state.chosen)
        showPhoto(if (state is ScreenState.Loading) shownPhoto else state.photo)
        // What is there stays until there is something better: a screen reader may be reading it.
        if (state !is ScreenState.Running) showColumns(columns)
        val forPhotos = !state.isBusy && state.chosen.isNotEmpty() && state.chosen.all { it.takesPhotos }
        for (id in listOf(R.id.pick, R.id.camera, R.id.live)) activity.findViewById<View>(id).isEnabled = forPhotos
    }

    private fun showStatus(state: ScreenState) {
        val status =
            when (state) {
                is ScreenState.Loading -> activity.getString(R.string.loading, state.what)
                is ScreenState.Ready -> state.chosen.firstNotNullOfOrNull { it.refusal } ?: activity.getString(R.string.ready)
                is ScreenState.Running -> activity.getString(R.string.running)
                is ScreenState.Done -> ""
                is ScreenState.Failed -> state.sentence
            }
        activity.findViewById<TextView>(R.id.status).apply {
            text = status
            visibility = if (status.isEmpty()) View.GONE else View.VISIBLE
            setTextColor(activity.getColor(if (state is ScreenState.Failed) R.color.fail else R.color.text))
        }
        val note = if (state is ScreenState.Done) doneText(state) else ""
        activity.findViewById<TextView>(R.id.note).run {
            text = note
            visibility = if (note.isEmpty()) View.GONE else View.VISIBLE
        }
    }

    private fun doneText(state: ScreenState.Done): String {
        val sizes =
            state.columns.distinctBy { it.shown.result.sample }.mapIndexed { index, column ->
                val result = column.shown.result
                val text = activity.getString(R.string.photo_size, result.width, result.height, result.sample)
                if (index == 0) text else "${column.model.file.name}: $text"
            }
        val memory = state.memoryMb?.let { activity.getString(R.string.memory, it.roundToInt()) }
        return (sizes + listOfNotNull(memory)).joinToString("\n")
    }

    private fun showModels(
        models: List<ModelFile>,
        chosen: List<ReadyModel>,
        enabled: Boolean,
    ) {
        first.visibility = if (models.isEmpty()) View.GONE else View.VISIBLE
        activity.actionBar?.setDisplayShowTitleEnabled(models.isEmpty())
        activity.findViewById<View>(R.id.compare).visibility = if (models.size < 2) View.GONE else View.VISIBLE
        // A model that was opened may have the name of one of the app's own.
        val names = models.map { model -> if (models.count { it.name == model.name } > 1) unlike(model) else model.name }
        val places = chosen.map { model -> models.indexOf(model.file) }
        first.onItemSelectedListener = null
        second.onItemSelectedListener = null
        fill(first, R.layout.bar_item, names, places.getOrElse(0) { 0 }, enabled)
        val others = listOf(activity.getString(R.string.alone)) + names
        fill(second, R.layout.bar_choice, others, places.getOrElse(1) { -1 } + 1, enabled)
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
        activity.getString(if (model.isOpened) R.string.opened_name else R.string.built_in_name, model.name)

    private fun fill(
        spinner: Spinner,
        layout: Int,
        names: List<String>,
        selected: Int,
        enabled: Boolean,
    ) {
        if (spinner.tag != names) {
            val adapter = ArrayAdapter(activity, layout, names)
            adapter.setDropDownViewResource(R.layout.bar_choice)
            spinner.adapter = adapter
            spinner.tag = names
        }
        spinner.setSelection(selected.coerceAtLeast(0), false)
        spinner.isEnabled = enabled
    }

    private fun showBadges(chosen: List<ReadyModel>) {
        badges.matchChildren(chosen.size, R.layout.badge)
        chosen.forEachIndexed { index, model ->
            val passes = model.verification.passes
            val sentence = activity.getString(if (passes) R.string.badge_pass else R.string.badge_fail)
            (badges.getChildAt(index) as TextView).run {
                text = if (chosen.size == 1) sentence else activity.getString(R.string.badge_named, model.file.name, sentence)
                setTextColor(activity.getColor(if (passes) R.color.on_pass else R.color.fail))
                setBackgroundResource(if (passes) R.drawable.badge_pass else R.drawable.badge_fail)
                setCompoundDrawablesRelativeWithIntrinsicBounds(if (passes) R.drawable.check else R.drawable.cross, 0, R.drawable.next, 0)
                setOnClickListener { activity.startActivity(Intent(activity, DetailsActivity::class.java)) }
            }
        }
    }

    private fun showPhoto(photo: Bitmap?) {
        photoView.visibility = if (photo == null) View.GONE else View.VISIBLE
        activity.findViewById<View>(R.id.empty).visibility = if (photo == null) View.VISIBLE else View.GONE
        photoView.contentDescription = activity.getString(R.string.photo_spoken)
        photoView.setImageBitmap(photo)
        shownPhoto = photo
    }

    private fun showColumns(columns: List<Column>) {
        // Large letters leave no room for two cards beside each other.
        val beside = activity.resources.configuration.fontScale <= LARGE_TEXT
        results.orientation = if (beside) LinearLayout.HORIZONTAL else LinearLayout.VERTICAL
        results.matchChildren(columns.size, R.layout.column)
        val gap = (GAP_DP * activity.resources.displayMetrics.density).roundToInt()
        columns.forEachIndexed { index, column ->
            val view = results.getChildAt(index)
            view.layoutParams =
                LinearLayout
                    .LayoutParams(
                        if (beside) 0 else ViewGroup.LayoutParams.MATCH_PARENT,
                        ViewGroup.LayoutParams.WRAP_CONTENT,
                    ).apply {
                        if (beside) weight = 1f
                        if (beside && index > 0) marginStart = gap
                        if (!beside && index > 0) topMargin = gap
                    }
            view.findViewById<TextView>(R.id.title).run {
                text = column.model.file.name
                visibility = if (columns.size > 1) View.VISIBLE else View.GONE
            }
            val latency = column.latency.median ?: column.shown.result.milliseconds
            view.findViewById<TextView>(R.id.latency).text =
                activity.getString(R.string.latency, latency, column.latency.samples.size)
            // What one model draws over the photo takes the photo's place.
            val drawsOverPhoto = columns.size == 1 && column.shown.isOverPhoto
            val picture = if (drawsOverPhoto) photoView else view.findViewById(R.id.picture)
            if (drawsOverPhoto) view.findViewById<View>(R.id.picture).visibility = View.GONE
            showResult(view, picture, column.shown, workbench.threshold) { workbench.threshold = it }
        }
    }
}

/** Have [count] children of [layout], those that are there first. */
private fun ViewGroup.matchChildren(
    count: Int,
    layout: Int,
) {
    while (childCount > count) removeViewAt(childCount - 1)
    while (childCount < count) addView(LayoutInflater.from(context).inflate(layout, this, false))
}

package dev.torchmobile.demo

import android.content.res.ColorStateList
import android.graphics.Color
import android.view.LayoutInflater
import android.view.View
import android.view.ViewGroup
import android.widget.ImageView
import android.widget.ProgressBar
import android.widget.SeekBar
import android.widget.TextView
import dev.torchmobile.core.Content
import dev.torchmobile.core.KeyPoint
import dev.torchmobile.core.LegendEntry
import dev.torchmobile.core.OutputRow
import dev.torchmobile.core.classColor
import dev.torchmobile.core.decimal
import dev.torchmobile.core.percent
import kotlin.math.roundToInt

private const val BAR_STEPS = 1000
private const val MOST_ROWS = 10
private const val SLIDER_STEPS = 100

/**
 * Show [shown] in [root]: its picture, its slider where [root] has one, and its rows.
 *
 * Boxes are those whose score is at least [threshold], or in the upper half of the range where that is
 * null; [moved] hears of another.
 */
fun showResult(
    root: View,
    shown: ShownResult,
    threshold: Double?,
    moved: (Double) -> Unit = {},
) {
    val rows = root.findViewById<ViewGroup>(R.id.rows)
    rows.removeAllViews()
    showPicture(root, shown)
    when (val content = shown.result.content) {
        is Content.Classes -> {
            content.classes.forEach { addRow(rows, it.label, it.text, it.bar) }
        }

        is Content.ClassMap -> {
            addLegend(rows, content.legend)
        }

        is Content.Depth -> {
            addRow(rows, rows.context.getString(R.string.nearest), content.minimumText)
            addRow(rows, rows.context.getString(R.string.farthest), content.maximumText)
        }

        is Content.Boxes -> {
            showFound(root, shown, content, threshold, moved)
        }

        is Content.KeyPoints -> {
            addPoints(rows, content.points)
        }

        is Content.Picture -> {
            addRow(rows, rows.context.getString(R.string.black), content.blackText)
            addRow(rows, rows.context.getString(R.string.white), content.whiteText)
        }

        is Content.Embedding -> {
            addEmbedding(rows, content)
        }

        is Content.Numbers -> {
            content.numbers.forEach { addRow(rows, it.name, it.text) }
        }

        is Content.Tensors -> {
            content.rows.forEach { addTensor(rows, it) }
        }
    }
    shown.result.others.forEach { addTensor(rows, it) }
}

private fun showPicture(
    root: View,
    shown: ShownResult,
) = root.findViewById<ImageView>(R.id.picture).run {
    visibility = if (shown.picture == null) View.GONE else View.VISIBLE
    contentDescription = context.getString(if (shown.isOverPhoto) R.string.picture_spoken else R.string.made_spoken)
    setImageBitmap(shown.picture)
}

private fun addEmbedding(
    rows: ViewGroup,
    embedding: Content.Embedding,
) {
    addRow(rows, rows.context.getString(R.string.vector, embedding.values.size), "")
    val text = embedding.text
    if (text == null) {
        addRow(rows, rows.context.getString(R.string.no_cosine), "")
    } else {
        addRow(rows, rows.context.getString(R.string.cosine), text, embedding.cosine)
    }
}

private fun showFound(
    root: View,
    shown: ShownResult,
    found: Content.Boxes,
    chosen: Double?,
    moved: (Double) -> Unit,
) {
    val threshold = found.threshold(chosen)
    showBoxes(root, shown, found, threshold)
    val range = found.range ?: return
    val slider = root.findViewById<SeekBar>(R.id.threshold) ?: return
    slider.visibility = View.VISIBLE
    root.findViewById<View>(R.id.threshold_label).visibility = View.VISIBLE
    val length = range.endInclusive - range.start
    slider.progress = (SLIDER_STEPS * (threshold - range.start) / length).roundToInt()
    slider.setOnSeekBarChangeListener(
        object : SeekBar.OnSeekBarChangeListener {
            override fun onProgressChanged(
                bar: SeekBar,
                progress: Int,
                fromUser: Boolean,
            ) {
                val now = range.start + length * progress / SLIDER_STEPS
                moved(now)
                showBoxes(root, shown, found, now)
            }

            override fun onStartTrackingTouch(bar: SeekBar) = Unit

            override fun onStopTrackingTouch(bar: SeekBar) = Unit
        },
    )
}

/** Draw and list the boxes that are sure enough. */
private fun showBoxes(
    root: View,
    shown: ShownResult,
    found: Content.Boxes,
    threshold: Double,
) {
    val kept = found.above(threshold)
    val areShares = found.range == 0.0..1.0
    val rows = root.findViewById<ViewGroup>(R.id.rows)
    shown.picture?.let { root.findViewById<ImageView>(R.id.picture).setImageBitmap(drawBoxes(it, shown.result.width, kept)) }
    root.findViewById<TextView>(R.id.threshold_label)?.text =
        root.context.getString(
            R.string.threshold,
            if (areShares) percent(threshold) else decimal(threshold),
            kept.size,
            found.boxes.size,
        )
    rows.removeAllViews()
    for (one in kept.take(MOST_ROWS)) {
        addRow(rows, one.label, one.text.orEmpty(), one.score.takeIf { areShares }, one.color)
    }
}

private fun addPoints(
    rows: ViewGroup,
    points: List<KeyPoint>,
) {
    for (point in points.take(MOST_ROWS)) {
        addRow(rows, point.label, point.text, point.score?.takeIf { it in 0.0..1.0 }, classColor(point.index))
    }
    val rest = points.size - MOST_ROWS
    if (rest > 0) addRow(rows, rows.context.getString(R.string.more_points, rest), "")
    if (points.isEmpty()) addRow(rows, rows.context.getString(R.string.no_points), "")
}

private fun addLegend(
    rows: ViewGroup,
    legend: List<LegendEntry>,
) {
    for (entry in legend.take(MOST_ROWS)) {
        val label = if (entry.color == null) rows.context.getString(R.string.not_drawn, entry.label) else entry.label
        addRow(rows, label, entry.text, entry.share, entry.color ?: Color.GRAY)
    }
    val rest = legend.drop(MOST_ROWS)
    if (rest.isNotEmpty()) {
        addRow(rows, rows.context.getString(R.string.more_classes, rest.size), percent(rest.sumOf { it.share }))
    }
}

/** Add a row: label, figure, and a bar where there is a [share] of 1; in [color], or the theme's. */
private fun addRow(
    rows: ViewGroup,
    label: String,
    figure: String,
    share: Double? = null,
    color: Int? = null,
) {
    val row = LayoutInflater.from(rows.context).inflate(R.layout.row, rows, false)
    row.findViewById<TextView>(R.id.label).text = label
    row.findViewById<TextView>(R.id.figure).text = figure
    row.findViewById<ProgressBar>(R.id.bar).apply {
        visibility = if (share == null) View.GONE else View.VISIBLE
        // NaN from a broken model must not crash the screen that shows it.
        progress = if (share != null && share.isFinite()) (BAR_STEPS * share).roundToInt().coerceIn(0, BAR_STEPS) else 0
        color?.let { progressTintList = ColorStateList.valueOf(it) }
    }
    // TalkBack reads a row as one sentence, not as three views.
    row.contentDescription = if (figure.isEmpty()) label else rows.context.getString(R.string.row_spoken, label, figure)
    rows.addView(row)
}

private fun addTensor(
    rows: ViewGroup,
    line: OutputRow,
) {
    val context = rows.context
    val view = LayoutInflater.from(context).inflate(R.layout.tensor, rows, false)
    val tensor = context.getString(R.string.tensor, line.name, line.dtype.label, line.shape)
    val named = if (line.axes.isEmpty()) tensor else context.getString(R.string.axes, tensor, line.axes)
    view.findViewById<TextView>(R.id.tensor).text = named
    view.findViewById<TextView>(R.id.figures).text = line.range
    view.contentDescription = context.getString(R.string.row_spoken, named, line.range)
    rows.addView(view)
}

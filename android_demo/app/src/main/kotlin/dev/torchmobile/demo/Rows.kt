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
import dev.torchmobile.core.Detection
import dev.torchmobile.core.Figures
import dev.torchmobile.core.KeyPoint
import dev.torchmobile.core.LegendEntry
import dev.torchmobile.core.Prediction
import dev.torchmobile.core.Shown
import dev.torchmobile.core.TableRow
import dev.torchmobile.core.atLeast
import dev.torchmobile.core.classColor
import dev.torchmobile.core.scoreRange
import kotlin.math.roundToInt

private const val BAR_STEPS = 1000
private const val PERCENT = 100.0
private const val MOST_ROWS = 10
private const val SLIDER_STEPS = 100

/** Whether the result is drawn over the photo, so that the photo need not be shown as well. */
val Shown.isOverPhoto: Boolean get() = this is Shown.Segments || this is Shown.Depth || this is Shown.Found || this is Shown.Points

/**
 * Show [prediction] in [root]: its picture, its slider where [root] has one, and its rows.
 *
 * Boxes are those whose score is at least [threshold], or in the upper half of the range where that is
 * null; [moved] hears of another.
 */
fun showPrediction(
    root: View,
    prediction: Prediction,
    threshold: Double?,
    moved: (Double) -> Unit = {},
) {
    val rows = root.findViewById<ViewGroup>(R.id.rows)
    val shown = prediction.shown
    rows.removeAllViews()
    showPicture(root, shown)
    when (shown) {
        is Shown.Classes -> {
            shown.top.forEach { addRow(rows, it.label, score(rows, it.score, shown.areShares), it.score.takeIf { shown.areShares }) }
        }

        is Shown.Segments -> {
            addLegend(rows, shown.legend)
        }

        is Shown.Depth -> {
            addRow(rows, rows.context.getString(R.string.nearest), measured(rows, shown.range.minimum, shown.unit))
            addRow(rows, rows.context.getString(R.string.farthest), measured(rows, shown.range.maximum, shown.unit))
        }

        is Shown.Found -> {
            showFound(root, shown, threshold, moved)
        }

        is Shown.Points -> {
            addPoints(rows, shown.points)
        }

        is Shown.Made -> {
            addRow(rows, rows.context.getString(R.string.black), measured(rows, shown.made.black, shown.unit))
            addRow(rows, rows.context.getString(R.string.white), measured(rows, shown.made.white, shown.unit))
        }

        is Shown.Embedding -> {
            addRow(rows, rows.context.getString(R.string.vector, shown.vector.size), "")
            val cosine = shown.cosine
            if (cosine == null) {
                addRow(rows, rows.context.getString(R.string.no_cosine), "")
            } else {
                addRow(rows, rows.context.getString(R.string.cosine), rows.context.getString(R.string.score, cosine), cosine)
            }
        }

        is Shown.Numbers -> {
            shown.lines.forEach { addRow(rows, it.name, measured(rows, it.value, it.unit)) }
        }

        Shown.Outputs -> {
            Unit
        }
    }
    prediction.table.forEach { addTensor(rows, it) }
}

private fun showPicture(
    root: View,
    shown: Shown,
) {
    val bitmap =
        when (shown) {
            is Shown.Segments -> bitmapOf(shown.picture)
            is Shown.Depth -> bitmapOf(shown.picture)
            is Shown.Points -> drawPoints(shown.image, shown.points)
            is Shown.Made -> bitmapOf(shown.made.picture)
            else -> null
        }
    root.findViewById<ImageView>(R.id.picture).apply {
        visibility = if (shown.isOverPhoto || shown is Shown.Made) View.VISIBLE else View.GONE
        contentDescription = context.getString(if (shown is Shown.Made) R.string.made_spoken else R.string.picture_spoken)
        setImageBitmap(bitmap)
    }
}

private fun showFound(
    root: View,
    shown: Shown.Found,
    chosen: Double?,
    moved: (Double) -> Unit,
) {
    val range = scoreRange(shown.detections)
    val threshold = (chosen ?: ((range.start + range.endInclusive) / 2)).coerceIn(range)
    showBoxes(root, shown, threshold)
    val slider = root.findViewById<SeekBar>(R.id.threshold) ?: return
    if (shown.detections.all { it.score == null }) return
    slider.visibility = View.VISIBLE
    root.findViewById<View>(R.id.threshold_label).visibility = View.VISIBLE
    val length = range.endInclusive - range.start
    slider.progress = if (length > 0) (SLIDER_STEPS * (threshold - range.start) / length).roundToInt() else 0
    slider.setOnSeekBarChangeListener(
        object : SeekBar.OnSeekBarChangeListener {
            override fun onProgressChanged(
                bar: SeekBar,
                progress: Int,
                fromUser: Boolean,
            ) {
                val now = range.start + length * progress / SLIDER_STEPS
                moved(now)
                showBoxes(root, shown, now)
            }

            override fun onStartTrackingTouch(bar: SeekBar) = Unit

            override fun onStopTrackingTouch(bar: SeekBar) = Unit
        },
    )
}

/** Draw and list the boxes that are sure enough. */
private fun showBoxes(
    root: View,
    shown: Shown.Found,
    threshold: Double,
) {
    val kept = shown.detections.atLeast(threshold)
    val areShares = scoreRange(shown.detections) == 0.0..1.0
    val rows = root.findViewById<ViewGroup>(R.id.rows)
    root.findViewById<ImageView>(R.id.picture).setImageBitmap(drawBoxes(shown.image, kept))
    root.findViewById<TextView>(R.id.threshold_label)?.text =
        root.context.getString(R.string.threshold, score(rows, threshold, areShares), kept.size, shown.detections.size)
    rows.removeAllViews()
    for (found in kept.take(MOST_ROWS)) {
        val figure = found.score?.let { score(rows, it, areShares) } ?: ""
        addRow(rows, found.label, figure, found.score.takeIf { areShares }, color(found))
    }
}

private fun addPoints(
    rows: ViewGroup,
    points: List<KeyPoint>,
) {
    for (point in points.take(MOST_ROWS)) {
        val figure = rows.context.getString(R.string.place, point.place.x, point.place.y)
        addRow(rows, point.label, figure, point.score?.takeIf { it in 0.0..1.0 }, color(point))
    }
    val rest = points.size - MOST_ROWS
    if (rest > 0) addRow(rows, rows.context.getString(R.string.more_points, rest), "")
    if (points.isEmpty()) addRow(rows, rows.context.getString(R.string.no_points), "")
}

/** The color of a point, as its class would have. */
fun color(point: KeyPoint): Int = classColor(point.index)

/** The color of what was found; boxes without a class are drawn as the first. */
fun color(found: Detection): Int = classColor(found.classIndex ?: 0)

private fun addLegend(
    rows: ViewGroup,
    legend: List<LegendEntry>,
) {
    for (entry in legend.take(MOST_ROWS)) {
        val label = if (entry.color == null) rows.context.getString(R.string.not_drawn, entry.label) else entry.label
        addRow(rows, label, score(rows, entry.share, true), entry.share, entry.color ?: Color.GRAY)
    }
    val rest = legend.drop(MOST_ROWS)
    if (rest.isNotEmpty()) {
        addRow(rows, rows.context.getString(R.string.more_classes, rest.size), score(rows, rest.sumOf { it.share }, true))
    }
}

private fun score(
    rows: ViewGroup,
    score: Double,
    isShare: Boolean,
): String = if (isShare) rows.context.getString(R.string.share, PERCENT * score) else rows.context.getString(R.string.score, score)

private fun measured(
    rows: ViewGroup,
    value: Double?,
    unit: String?,
): String = if (value == null) "" else rows.context.getString(R.string.with_unit, value, unit ?: "").trim()

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
    line: TableRow,
) {
    val context = rows.context
    val view = LayoutInflater.from(context).inflate(R.layout.tensor, rows, false)
    val tensor = context.getString(R.string.tensor, line.name, line.dtype.label, line.shape.joinToString(", "))
    val named = if (line.axes.isEmpty()) tensor else context.getString(R.string.axes, tensor, line.axes.joinToString(" × "))
    val said = figures(rows, line.figures)
    view.findViewById<TextView>(R.id.tensor).text = named
    view.findViewById<TextView>(R.id.figures).text = said
    view.contentDescription = context.getString(R.string.row_spoken, named, said)
    rows.addView(view)
}

private fun figures(
    rows: ViewGroup,
    figures: Figures,
): String {
    val minimum = figures.minimum ?: return rows.context.getString(R.string.no_figures)
    return rows.context.getString(R.string.figures, minimum, figures.mean, figures.maximum)
}

package dev.torchmobile.demo

import android.graphics.Color
import android.view.View
import android.widget.ImageView
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

private const val MOST_ROWS = 10
private const val SLIDER_STEPS = 100

/**
 * Show [shown]: its picture in [picture], its slider where [root] has one, and its rows.
 *
 * Boxes are those whose score is at least [threshold], or in the upper half of the range where that is
 * null; [moved] hears of another.
 */
fun showResult(
    root: View,
    picture: ImageView,
    shown: ShownResult,
    threshold: Double?,
    moved: (Double) -> Unit = {},
) {
    val rows = RowList(root.findViewById(R.id.rows))
    showPicture(picture, shown)
    val slides = shown.result.content is Content.Boxes
    for (id in listOf(R.id.threshold, R.id.threshold_label)) {
        if (!slides) root.findViewById<View>(id)?.visibility = View.GONE
    }
    when (val content = shown.result.content) {
        is Content.Classes -> {
            content.classes.forEach { rows.add(it.label, it.text, it.bar) }
        }

        is Content.ClassMap -> {
            addLegend(rows, content.legend)
        }

        is Content.Depth -> {
            rows.add(rows.context.getString(R.string.nearest), content.minimumText)
            rows.add(rows.context.getString(R.string.farthest), content.maximumText)
        }

        is Content.Boxes -> {
            showFound(root, picture, shown, content, threshold, moved)
            return
        }

        is Content.KeyPoints -> {
            addPoints(rows, content.points)
        }

        is Content.Picture -> {
            rows.add(rows.context.getString(R.string.black), content.blackText)
            rows.add(rows.context.getString(R.string.white), content.whiteText)
        }

        is Content.Embedding -> {
            addEmbedding(rows, content)
        }

        is Content.Numbers -> {
            content.numbers.forEach { rows.add(it.name, it.text) }
        }

        is Content.Tensors -> {
            content.rows.forEach { addTensor(rows, it) }
        }
    }
    shown.result.others.forEach { addTensor(rows, it) }
    rows.end()
}

private fun showPicture(
    picture: ImageView,
    shown: ShownResult,
) = picture.run {
    visibility = if (shown.picture == null) View.GONE else View.VISIBLE
    contentDescription = context.getString(if (shown.isOverPhoto) R.string.picture_spoken else R.string.made_spoken)
    setImageBitmap(shown.picture)
}

private fun addEmbedding(
    rows: RowList,
    embedding: Content.Embedding,
) {
    rows.add(rows.context.getString(R.string.vector, embedding.values.size), "")
    val text = embedding.text
    if (text == null) {
        rows.add(rows.context.getString(R.string.no_cosine), "")
    } else {
        rows.add(rows.context.getString(R.string.cosine), text, embedding.cosine)
    }
}

private fun showFound(
    root: View,
    picture: ImageView,
    shown: ShownResult,
    found: Content.Boxes,
    chosen: Double?,
    moved: (Double) -> Unit,
) {
    val threshold = found.threshold(chosen)
    showBoxes(root, picture, shown, found, threshold)
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
                showBoxes(root, picture, shown, found, now)
            }

            override fun onStartTrackingTouch(bar: SeekBar) = Unit

            override fun onStopTrackingTouch(bar: SeekBar) = Unit
        },
    )
}

/** Draw and list the boxes that are sure enough. */
private fun showBoxes(
    root: View,
    picture: ImageView,
    shown: ShownResult,
    found: Content.Boxes,
    threshold: Double,
) {
    val kept = found.above(threshold)
    val areShares = found.range == 0.0..1.0
    val rows = RowList(root.findViewById(R.id.rows))
    shown.picture?.let { picture.setImageBitmap(drawBoxes(it, shown.result.width, kept)) }
    root.findViewById<TextView>(R.id.threshold_label)?.text =
        root.context.getString(
            R.string.threshold,
            if (areShares) percent(threshold) else decimal(threshold),
            kept.size,
            found.boxes.size,
        )
    for (one in kept.take(MOST_ROWS)) {
        rows.add(one.label, one.text.orEmpty(), one.score.takeIf { areShares }, one.color)
    }
    shown.result.others.forEach { addTensor(rows, it) }
    rows.end()
}

private fun addPoints(
    rows: RowList,
    points: List<KeyPoint>,
) {
    for (point in points.take(MOST_ROWS)) {
        rows.add(point.label, point.text, point.score?.takeIf { it in 0.0..1.0 }, classColor(point.index))
    }
    val rest = points.size - MOST_ROWS
    if (rest > 0) rows.add(rows.context.getString(R.string.more_points, rest), "")
    if (points.isEmpty()) rows.add(rows.context.getString(R.string.no_points), "")
}

private fun addLegend(
    rows: RowList,
    legend: List<LegendEntry>,
) {
    for (entry in legend.take(MOST_ROWS)) {
        val label = if (entry.color == null) rows.context.getString(R.string.not_drawn, entry.label) else entry.label
        rows.add(label, entry.text, entry.share, entry.color ?: Color.GRAY)
    }
    val rest = legend.drop(MOST_ROWS)
    if (rest.isNotEmpty()) {
        rows.add(rows.context.getString(R.string.more_classes, rest.size), percent(rest.sumOf { it.share }))
    }
}

private fun addTensor(
    rows: RowList,
    line: OutputRow,
) {
    val tensor = rows.context.getString(R.string.tensor, line.name, line.dtype.label, line.shape)
    val named = if (line.axes.isEmpty()) tensor else rows.context.getString(R.string.axes, tensor, line.axes)
    rows.addLines(named, line.range)
}

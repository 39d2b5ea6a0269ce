package dev.torchmobile.demo

import android.content.Context
import android.content.res.ColorStateList
import android.view.LayoutInflater
import android.view.View
import android.view.ViewGroup
import android.widget.ProgressBar
import android.widget.TextView
import kotlin.math.roundToInt

private const val BAR_STEPS = 1000

/**
 * Fills the rows of [into] from the top: those that are there are used again, so that a screen reader keeps
 * its place and a live preview makes no views. [end] takes away what is left over.
 */
class RowList(
    private val into: ViewGroup,
) {
    private var count = 0
    val context: Context get() = into.context

    /** Add a row: label, figure, and a bar where there is a [share] of 1; in [color], or the theme's. */
    fun add(
        label: String,
        figure: String,
        share: Double? = null,
        color: Int? = null,
    ) {
        val row = next(R.layout.row)
        row.findViewById<TextView>(R.id.label).text = label
        row.findViewById<TextView>(R.id.figure).text = figure
        row.findViewById<ProgressBar>(R.id.share_bar).apply {
            visibility = if (share == null) View.GONE else View.VISIBLE
            // NaN from a broken model must not crash the screen that shows it.
            progress = if (share != null && share.isFinite()) (BAR_STEPS * share).roundToInt().coerceIn(0, BAR_STEPS) else 0
            progressTintList = color?.let(ColorStateList::valueOf)
        }
        // TalkBack reads a row as one sentence, not as three views.
        row.contentDescription = if (figure.isEmpty()) label else context.getString(R.string.row_spoken, label, figure)
    }

    /** Add a name, and below it what is too long to stand beside it. */
    fun addLines(
        name: String,
        range: String,
    ) {
        val row = next(R.layout.tensor)
        row.findViewById<TextView>(R.id.tensor).text = name
        row.findViewById<TextView>(R.id.figures).text = range
        row.contentDescription = context.getString(R.string.row_spoken, name, range)
    }

    /** Remove the rows of what was shown before. */
    fun end() {
        while (into.childCount > count) into.removeViewAt(into.childCount - 1)
    }

    private fun next(layout: Int): View {
        val there = into.getChildAt(count)
        val row =
            if (there?.tag == layout) {
                there
            } else {
                if (there != null) into.removeViewAt(count)
                LayoutInflater.from(context).inflate(layout, into, false).also {
                    it.tag = layout
                    into.addView(it, count)
                }
            }
        count++
        return row
    }
}

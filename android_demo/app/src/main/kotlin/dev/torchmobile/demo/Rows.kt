package dev.torchmobile.demo

import android.view.LayoutInflater
import android.view.View
import android.widget.LinearLayout
import android.widget.ProgressBar
import android.widget.TextView
import dev.torchmobile.core.Classification
import kotlin.math.roundToInt

private const val BAR_STEPS = 1000
private const val PERCENT = 100.0

/** Add one row a class to [column]: label, figure, and a bar where scores are shares. */
fun fillRows(
    column: LinearLayout,
    result: Classification,
) {
    for (ranked in result.top) {
        val row = LayoutInflater.from(column.context).inflate(R.layout.row, column, false)
        val figure =
            if (result.scoresAreShares) {
                column.context.getString(R.string.share, PERCENT * ranked.score)
            } else {
                column.context.getString(R.string.score, ranked.score)
            }
        row.findViewById<TextView>(R.id.label).text = ranked.label
        row.findViewById<TextView>(R.id.figure).text = figure
        row.findViewById<ProgressBar>(R.id.bar).apply {
            visibility = if (result.scoresAreShares) View.VISIBLE else View.GONE
            // NaN from a broken model must not crash the screen that shows it.
            progress = if (ranked.score.isFinite()) (BAR_STEPS * ranked.score).roundToInt().coerceIn(0, BAR_STEPS) else 0
        }
        // TalkBack reads a row as one sentence, not as three views.
        row.contentDescription = column.context.getString(R.string.row_spoken, ranked.label, figure)
        column.addView(row)
    }
}

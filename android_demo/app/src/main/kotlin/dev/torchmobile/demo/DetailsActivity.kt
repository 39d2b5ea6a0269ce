package dev.torchmobile.demo

import android.app.Activity
import android.os.Bundle
import android.view.LayoutInflater
import android.view.View
import android.view.ViewGroup
import android.widget.TextView
import dev.torchmobile.core.scientific
import kotlin.math.roundToInt

/** What is behind the badge: how far this phone's numbers are from Python's, and what the model is. */
class DetailsActivity : Activity() {
    private val workbench get() = (application as DemoApplication).workbench
    private val render: () -> Unit = { show(workbench.state.chosen) }

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContentView(R.layout.details)
        edgeToEdge(window, findViewById(R.id.root))
        upBar(R.string.details)
    }

    override fun onStart() {
        super.onStart()
        workbench.listen(render)
    }

    override fun onStop() {
        workbench.forget(render)
        super.onStop()
    }

    private fun show(models: List<ReadyModel>) {
        val cards = findViewById<ViewGroup>(R.id.models)
        cards.removeAllViews()
        for (model in models) {
            val card = LayoutInflater.from(this).inflate(R.layout.details_card, cards, false)
            card.findViewById<TextView>(R.id.title).text = model.file.name
            card.findViewById<TextView>(R.id.sentence).text = model.verification.sentence
            val rows = RowList(card.findViewById(R.id.rows))
            (verification(model) + description(model)).forEach { (label, figure) -> rows.addLines(getString(label), figure) }
            rows.end()
            cards.addView(card)
        }
    }

    private fun verification(model: ReadyModel): List<Pair<Int, String>> {
        val found = model.verification
        return listOfNotNull(
            R.string.detail_cases to getString(R.string.detail_of, found.passed, found.cases),
            found.maxAbs?.let { R.string.detail_largest to scientific(it) },
            R.string.detail_allowed to scientific(found.allowed),
            R.string.detail_basis to model.metadata.tolerance.basis,
            found.top1?.let { R.string.detail_top to getString(R.string.percent, (PERCENT * it).roundToInt()) },
        )
    }

    private fun description(model: ReadyModel): List<Pair<Int, String>> {
        val metadata = model.metadata
        val int8 = metadata.quantization != "none"
        return listOf(
            R.string.detail_network to metadata.model,
            R.string.detail_task to (metadata.task?.label ?: getString(R.string.no_task)),
            R.string.detail_quantization to
                if (int8) getString(R.string.detail_int8, metadata.quantization, metadata.int8Layers) else metadata.quantization,
            R.string.detail_torch to metadata.torch,
            R.string.detail_exporter to metadata.exporter,
            R.string.detail_license to (metadata.license ?: getString(R.string.unknown)),
            R.string.detail_load to getString(R.string.milliseconds, model.loadMilliseconds.roundToInt()),
        )
    }

    private companion object {
        const val PERCENT = 100
    }
}

/** Give the app bar a [title] and a way back. */
fun Activity.upBar(title: Int) {
    val bar = findViewById<android.widget.Toolbar>(R.id.bar)
    bar.setTitle(title)
    bar.setNavigationIcon(R.drawable.back)
    bar.setNavigationContentDescription(R.string.back)
    bar.setNavigationOnClickListener { finish() }
    findViewById<View>(R.id.model).visibility = View.GONE
}

package dev.torchmobile.demo

import android.app.Activity
import android.content.ClipData
import android.content.Intent
import android.os.Bundle
import android.view.View
import android.widget.Button
import android.widget.EditText
import android.widget.TextView
import dev.torchmobile.core.BenchmarkPlan
import dev.torchmobile.core.BenchmarkRun
import dev.torchmobile.core.Skipped
import dev.torchmobile.core.threadCounts

private const val MOST_RUNS = 1000

/** Warm-up, N runs, 1, 2 and 4 threads as far as there are cores; the result as JSON for `python -m runtime_check bench --import`. */
class BenchmarkActivity : Activity() {
    private val workbench get() = (application as DemoApplication).workbench
    private val render: () -> Unit = { show(workbench.benchmarkState) }

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContentView(R.layout.benchmark)
        edgeToEdge(window, findViewById(R.id.root))
        upBar(R.string.benchmark)
        val cores = Runtime.getRuntime().availableProcessors()
        if (savedInstanceState == null) findViewById<EditText>(R.id.threads).setText("${minOf(cores, 2)}")
        findViewById<Button>(R.id.start).setOnClickListener {
            if (workbench.benchmarkState is BenchmarkState.Running) return@setOnClickListener workbench.cancelMeasurement()
            val threads = number(R.id.threads, 1, cores)
            workbench.measure(
                BenchmarkPlan(number(R.id.warm_up, 0, MOST_RUNS), number(R.id.runs, 1, MOST_RUNS), threadCounts(threads)),
            )
        }
        findViewById<Button>(R.id.share).setOnClickListener { share() }
    }

    override fun onStart() {
        super.onStart()
        workbench.listen(render)
    }

    override fun onStop() {
        workbench.forget(render)
        super.onStop()
    }

    /** Read a field, put what is out of bounds right, and show it so. */
    private fun number(
        id: Int,
        least: Int,
        most: Int,
    ): Int {
        val field = findViewById<EditText>(id)
        val value = (field.text.toString().toIntOrNull() ?: least).coerceIn(least, most)
        field.setText("$value")
        return value
    }

    private fun share() {
        val state = workbench.benchmarkState as? BenchmarkState.Done ?: return
        val (file, uri) = SharedFileProvider.shared(this, SharedFileProvider.BENCHMARK)
        file.writeText(state.json)
        val intent =
            Intent(Intent.ACTION_SEND)
                .setType("application/json")
                .putExtra(Intent.EXTRA_STREAM, uri)
                .addFlags(Intent.FLAG_GRANT_READ_URI_PERMISSION)
        intent.clipData = ClipData.newRawUri("", uri)
        startActivity(Intent.createChooser(intent, getString(R.string.share_benchmark)))
    }

    private fun show(state: BenchmarkState) {
        findViewById<TextView>(R.id.measured).text =
            workbench.state.chosen
                .firstOrNull()
                ?.file
                ?.name
        val text =
            when (state) {
                BenchmarkState.Idle -> getString(R.string.benchmark_idle)
                is BenchmarkState.Running -> (state.finished.map(::line) + getString(R.string.benchmark_running)).joinToString("\n")
                is BenchmarkState.Done -> (state.runs.map(::line) + state.skipped.map(::line)).joinToString("\n")
                is BenchmarkState.Failed -> state.sentence
            }
        findViewById<TextView>(R.id.outcome).text = text
        val isRunning = state is BenchmarkState.Running
        findViewById<Button>(R.id.start).setText(if (isRunning) R.string.stop else R.string.start)
        // A dark screen slows the phone down.
        findViewById<View>(R.id.outcome).keepScreenOn = isRunning
        findViewById<View>(R.id.share).isEnabled = state is BenchmarkState.Done
    }

    private fun line(run: BenchmarkRun): String =
        getString(R.string.benchmark_line, run.threads, run.medianMs, run.p95Ms, run.samplesMs.size)

    private fun line(skipped: Skipped): String = getString(R.string.benchmark_skipped, skipped.threads, skipped.reason)
}

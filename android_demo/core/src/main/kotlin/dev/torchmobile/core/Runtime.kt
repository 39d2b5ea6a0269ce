package dev.torchmobile.core

import java.io.File

/** What runs artifacts. The app has implementations on PyTorch's and ExecuTorch's libraries; tests have others. */
interface Runtime {
    /** As in the benchmark JSON, such as `lite interpreter 2.1.0`. */
    val name: String

    /** Load the file at [path]; throw [DemoException]. */
    fun open(path: String): LoadedModel

    /** The [name] of what runs the file at [path]. */
    fun nameFor(path: String): String = name

    /** Let one inference use [threads] threads, for the whole process. */
    fun setThreads(threads: Int)
}

/** A file in memory. Not for two threads at once. */
interface LoadedModel : AutoCloseable {
    /** The records as they are in the file, or empty where missing. */
    val metadataJson: String
    val goldenJson: String

    /** Run `forward`; whatever the runtime throws comes out as it is. */
    fun run(inputs: List<TensorValue>): List<TensorValue>
}

/** The runtimes that an app was built with, each for the files of its format. */
class RuntimeByFormat(
    private val runtimes: Map<Format, Runtime>,
) : Runtime {
    override val name = runtimes.values.joinToString(" and ") { it.name }

    override fun open(path: String): LoadedModel = runtime(path).open(path)

    override fun nameFor(path: String) = runtime(path).name

    override fun setThreads(threads: Int) = runtimes.values.forEach { it.setThreads(threads) }

    private fun runtime(path: String): Runtime {
        val format = formatOf(path)
        return runtimes[format] ?: throw DemoException(Failure.RuntimeAbsent(File(path).name, format))
    }
}

package dev.torchmobile.core

/** What runs artifacts. The app has one implementation on `org.pytorch`; tests have others. */
interface Runtime {
    /** As in the benchmark JSON, such as `lite interpreter 2.1.0`. */
    val name: String

    /** Load the file at [path]; throw [DemoException]. */
    fun open(path: String): LoadedModel

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

package dev.torchmobile.core

import java.util.ServiceLoader

/**
 * What runs models of one format. `runtime-lite` and `runtime-executorch` bring one each; tests have others.
 *
 * An implementation is found by its name in `META-INF/services/dev.torchmobile.core.Runtime`. Its methods are
 * called by one thread at a time.
 */
interface Runtime {
    /** The files it runs. */
    val format: Format

    /** As a benchmark names it: `lite interpreter`. */
    val name: String

    /** Load the file at [path]; whatever the runtime throws comes out as it is, a [VisionError] as well. */
    fun open(path: String): LoadedModel

    /** Let one inference use [threads] threads, for the whole process. */
    fun setThreads(threads: Int)

    companion object {
        /** Those among the app's dependencies. */
        @JvmStatic
        val found: List<Runtime> by lazy { ServiceLoader.load(Runtime::class.java, Runtime::class.java.classLoader).toList() }
    }
}

/** A file in memory. Not for two threads at once. */
interface LoadedModel : AutoCloseable {
    /** The records as they are in the file, or empty where missing. */
    val metadataJson: String
    val goldenJson: String

    /** Run `forward`; whatever the runtime throws comes out as it is. */
    fun run(inputs: List<TensorValue>): List<TensorValue>
}

/** Load with a [runtime] that uses [threads]; its own errors become a [Failure]. */
internal fun load(
    runtime: Runtime,
    path: String,
    file: String,
    threads: Int,
): LoadedModel =
    try {
        runtime.setThreads(threads)
        runtime.open(path)
    } catch (error: LinkageError) {
        val remedy = "Take in its library for this device's processor"
        throw VisionError(Failure.RuntimeAbsent(file, runtime.format.runtime, remedy, runtime.format.other.label), error)
    } catch (error: OutOfMemoryError) {
        throw VisionError(Failure.OutOfMemory(file), error)
    } catch (error: RuntimeException) {
        throw VisionError(Failure.CannotOpen(file, firstLine(error), runtime.format.runOn), error)
    }

package dev.torchmobile.core

import java.io.File
import java.util.concurrent.atomic.AtomicBoolean

/** Time in nanoseconds, from any origin; replaced in tests. */
typealias Clock = () -> Long

private const val NANOS_PER_MS = 1e6
private const val PHOTO_AXES = 3
private const val MOST_THREADS = 4

/** The name of a photo among the inputs of [VisionModel.run]. */
const val PHOTO_INPUT = "image"

/**
 * A model file that is open, with its metadata read and checked.
 *
 * Calls block, and may come from any thread: with coroutines, `withContext(Dispatchers.Default) { model.run(photo) }`.
 * Calls of all models of one runtime wait for each other, as the threads that compute are the process's. Every
 * method throws [VisionError], whose message is a sentence for the user.
 */
class VisionModel internal constructor(
    /** Where the file lies. */
    val path: File,
    val metadata: Metadata,
    /** Its golden vectors: inputs, and what Python gave for them. */
    val golden: Golden,
    /** How long loading took, wall clock. */
    val loadMilliseconds: Double,
    internal val runtime: Runtime,
    internal val threads: Int,
    private val loaded: LoadedModel,
    private val clock: Clock,
) : AutoCloseable {
    private val isClosed = AtomicBoolean(false)

    /** The file's name, as sentences have it. */
    val file: String get() = path.name

    /** What runs it, as a benchmark names it. */
    val runtimeName: String get() = runtime.name

    /** Whether it takes photos; otherwise it takes tensors, and only [run] with named tensors and [verify] work. */
    val takesPhotos: Boolean get() = metadata.input is ModelInput.Image

    /** Why it takes no photos; null where it does. */
    val photoRefusal: Failure?
        get() {
            val tensors = (metadata.input as? ModelInput.Tensors)?.tensors ?: return null
            return Failure.TakesTensors(file, tensors.joinToString { "${it.name}: ${described(it.dtype, it.shape)}" })
        }

    /** Replay the golden vectors: a case that does not run counts as failed, and the others go on. */
    fun verify(): Verification {
        requireOpen()
        return replay(golden, metadata) { forward(it).outputs }
    }

    /**
     * Decode [photo] as small as this model allows, run it, and say by the model's task what came out.
     *
     * What is refused, in a sentence: a model of tensors, a photo out of the model's bounds, outputs that
     * are not those of the metadata.
     */
    fun run(photo: Photo): VisionResult {
        requireOpen()
        photoRefusal?.let { throw VisionError(it) }
        val input = metadata.input as ModelInput.Image
        val plan = downsamplePlan(photo.width, photo.height, wantedSide(metadata.preprocessing), input)
        plan.refusal?.let { refuse(it, photo.width, photo.height, input) }
        try {
            val image = photo.decode(plan.sample)
            val timed = forward(listOf(image.tensor(input.color)))
            val outputs = named(timed.outputs)
            val (content, others) = read(metadata, outputs, image, input.geometry.place(image.height, image.width))
            return VisionResult(content, outputs, others, timed.ms, image, plan.sample)
        } catch (error: OutOfMemoryError) {
            throw VisionError(Failure.OutOfMemory(file), error)
        }
    }

    /**
     * Run it on tensors by the names of its inputs ([PHOTO_INPUT] for a photo: uint8, height x width x
     * channels); return its outputs by their names.
     */
    fun run(inputs: Map<String, TensorValue>): Map<String, TensorValue> {
        requireOpen()
        val input = metadata.input
        val names = if (input is ModelInput.Tensors) input.tensors.map { it.name } else listOf(PHOTO_INPUT)
        if (names.toSet() != inputs.keys) fail("its inputs are ${names.joinToString()}, and ${inputs.keys.joinToString()} came")
        return named(forward(names.map(inputs::getValue)).outputs).associate { it.spec.name to it.value }
    }

    /** Give its memory back; a second time does nothing. */
    override fun close() {
        if (isClosed.compareAndSet(false, true)) synchronized(runtime) { loaded.close() }
    }

    /**
     * Run `forward` and time it.
     *
     * A photo out of bounds is refused here: a `.ptl` checks that itself, a `.pte` would compute on.
     */
    internal fun forward(
        inputs: List<TensorValue>,
        clock: Clock = this.clock,
    ): Timed {
        requireInBounds(inputs)
        synchronized(runtime) {
            requireOpen()
            val start = clock()
            val outputs =
                try {
                    loaded.run(inputs)
                } catch (error: OutOfMemoryError) {
                    throw VisionError(Failure.OutOfMemory(file), error)
                } catch (error: RuntimeException) {
                    fail(firstLine(error), error)
                }
            return Timed(outputs, (clock() - start) / NANOS_PER_MS)
        }
    }

    /** Let [threads] threads compute, of this model's runtime in the whole process. */
    internal fun setThreads(threads: Int) = synchronized(runtime) { runtime.setThreads(threads) }

    private fun requireOpen() {
        if (isClosed.get()) throw VisionError(Failure.Closed(file))
    }

    private fun requireInBounds(inputs: List<TensorValue>) {
        val bounds = metadata.input as? ModelInput.Image ?: return
        val shape = inputs.firstOrNull()?.shape?.takeIf { it.size == PHOTO_AXES } ?: return
        val (height, width) = shape
        refusal(width, height, bounds)?.let { refuse(it, width.toInt(), height.toInt(), bounds) }
    }

    /** Put the metadata's words to what came out, which has to be what they describe. */
    private fun named(tensors: List<TensorValue>): List<Output> {
        val specs = metadata.outputs
        if (tensors.size != specs.size) fail("${tensors.size} outputs came, and the metadata states ${specs.size}")
        return specs.zip(tensors) { spec, tensor ->
            val fits = if (spec.varies) tensor.shape.size == spec.shape.size else tensor.shape == spec.shape
            if (!fits || tensor.dtype != spec.dtype) {
                fail("output ${spec.name} is ${described(tensor.dtype, tensor.shape)}, and not ${described(spec.dtype, spec.shape)}")
            }
            Output(spec, tensor)
        }
    }

    private fun fail(
        why: String,
        cause: Throwable? = null,
    ): Nothing = throw VisionError(Failure.RunFailed(file, why, metadata.format.runOn), cause)

    companion object {
        /** What one inference uses where nothing else is said: more than the fast cores make a phone slower. */
        @JvmStatic
        val usualThreads: Int =
            minOf(
                java.lang.Runtime
                    .getRuntime()
                    .availableProcessors(),
                MOST_THREADS,
            )

        /**
         * Open a `.ptl` or `.pte` file of the exporter.
         *
         * With a [publicKey], a file that it did not sign is refused before a runtime sees it. [threads] is
         * set for the whole process. [runtimes] are those among the app's dependencies.
         */
        @JvmStatic
        @JvmOverloads
        fun open(
            file: File,
            threads: Int = usualThreads,
            publicKey: PublicKey? = null,
            runtimes: List<Runtime> = Runtime.found,
        ): VisionModel = open(file, threads, publicKey, runtimes, System::nanoTime)

        internal fun open(
            file: File,
            threads: Int,
            publicKey: PublicKey?,
            runtimes: List<Runtime>,
            clock: Clock,
        ): VisionModel {
            val format = formatOf(file.path)
            if (!file.isFile) throw VisionError(Failure.CannotOpen(file.name, "there is no such file", format.runOn))
            val runtime = runtimes.firstOrNull { it.format == format } ?: throw VisionError(absent(file.name, format))
            if (publicKey != null) requireVouched(publicKey, file.path, file.name)
            return synchronized(runtime) {
                val start = clock()
                val loaded = load(runtime, file.path, file.name, threads)
                val took = (clock() - start) / NANOS_PER_MS
                try {
                    val metadata = parseMetadata(loaded.metadataJson, file.name)
                    VisionModel(file, metadata, parseGolden(loaded.goldenJson, file.name), took, runtime, threads, loaded, clock)
                } catch (error: VisionError) {
                    loaded.close()
                    throw error
                }
            }
        }

        private fun absent(
            file: String,
            format: Format,
        ) = Failure.RuntimeAbsent(file, format.runtime, "Add `${format.dependency}` to the app", format.other.label)
    }
}

/** Outputs and how long they took, ms. */
internal class Timed(
    val outputs: List<TensorValue>,
    val ms: Double,
)

package dev.torchmobile.demo

import android.content.Context
import android.graphics.Bitmap
import android.net.Uri
import android.os.Build
import android.os.Debug
import dev.torchmobile.core.BenchmarkPlan
import dev.torchmobile.core.BenchmarkRun
import dev.torchmobile.core.Content
import dev.torchmobile.core.Device
import dev.torchmobile.core.Failure
import dev.torchmobile.core.Format
import dev.torchmobile.core.LatencyWindow
import dev.torchmobile.core.MeasuredFile
import dev.torchmobile.core.Photo
import dev.torchmobile.core.PublicKey
import dev.torchmobile.core.RgbImage
import dev.torchmobile.core.Runtime
import dev.torchmobile.core.VisionError
import dev.torchmobile.core.VisionModel
import dev.torchmobile.core.VisionResult
import dev.torchmobile.core.benchmark
import dev.torchmobile.core.benchmarkJson
import dev.torchmobile.runtime.photos.photo
import dev.torchmobile.runtime.photos.toBitmap
import java.io.File
import java.io.IOException
import java.util.concurrent.Executor
import java.util.concurrent.atomic.AtomicBoolean

/**
 * What the screens show and how it changes. Lives as long as the process, so a rotation loses
 * nothing.
 *
 * Everything slow runs on [worker], one job at a time; states are published on [main]. Where a
 * [publicKey] is built in, only models that it signed are opened, those of the assets too.
 */
class Workbench(
    private val context: Context,
    private val runtimes: List<Runtime>,
    private val worker: Executor,
    private val main: Executor,
    publicKey: String,
) {
    var state: ScreenState = ScreenState.Loading(emptyList(), "models")
        private set
    var benchmarkState: BenchmarkState = BenchmarkState.Idle
        private set

    /** The score from which on boxes are shown; null: nobody chose one. Of the main thread. */
    var threshold: Double? = null
    private val listeners = mutableSetOf<() -> Unit>()
    private val frameInWork = AtomicBoolean(false)
    private val isCanceled = AtomicBoolean(false)

    private val key by lazy { PublicKey.of(publicKey) }

    // Touched on the worker only.
    private val opened = mutableMapOf<String, VisionModel>()
    private val ready = mutableMapOf<String, ReadyModel>()
    private val latencies = mutableMapOf<String, LatencyWindow>()
    private var files = emptyList<ModelFile>()
    private var chosen = emptyList<ReadyModel>()
    private var source: Photo? = null
    private var shownPhoto: Bitmap? = null

    // What a person asked for last, for when the system ends the process. Of the main thread.
    private var photoUri: Uri? = null
    private var isFresh = true

    // By the model's path: the photo in hand and its embedding, and that of the photo before.
    private val embeddings = mutableMapOf<String, Pair<Photo, VisionResult>>()
    private val previous = mutableMapOf<String, VisionResult>()

    /** Call [listener] on the main thread after each change, until [forget]. */
    fun listen(listener: () -> Unit) {
        listeners += listener
        listener()
    }

    fun forget(listener: () -> Unit) {
        listeners -= listener
    }

    /** Find the models and open the first. */
    fun start() =
        work {
            files = findModels()
            val first = files.firstOrNull() ?: throw DemoException(context.getString(R.string.no_model))
            choose(listOf(first))
        }

    /** Run [models] (one, or two side by side) on the photo in hand. */
    fun select(models: List<ModelFile>) {
        isFresh = false
        work { choose(models) }
    }

    /** The paths of the chosen models and the photo that was asked for, as [restore] takes them. */
    fun inHand(): Pair<List<String>, Uri?> = state.chosen.map { it.file.path } to photoUri

    /** Be again where a process was that the system ended; nothing, where a person has done something since. */
    fun restore(
        models: List<String>,
        photo: Uri?,
        chosenThreshold: Double?,
    ) {
        if (!isFresh) return
        isFresh = false
        threshold = chosenThreshold
        work {
            val there = models.mapNotNull { path -> files.find { it.path == path } }
            if (there.isNotEmpty()) choose(there)
        }
        photo?.let(::classifyPhoto)
    }

    /** Take [model], which a person opened, out of the app. */
    fun delete(model: ModelFile) =
        work {
            require(model.isOpened) { model.name }
            forgetAll(model.path)
            File(model.path).delete()
            files = findModels()
            val rest = chosen.map { it.file }.filter { it != model }
            chosen = chosen.filter { it.file != model }
            val next = rest.ifEmpty { files.take(1) }
            if (next.isEmpty()) throw DemoException(context.getString(R.string.no_model))
            choose(next)
        }

    /** Take a model from the system's picker; nothing is lost where it does not load. */
    fun openModel(uri: Uri) {
        isFresh = false
        work {
            val incoming = importModel(context, uri, key)
            show(ScreenState.Loading(files, incoming.name))
            val file =
                try {
                    // Under a name of its own: an earlier one of its name stays until it has proved good.
                    open(incoming.path).close()
                    incoming.keep()
                } finally {
                    incoming.discard()
                }
            // The same name may have held another model.
            chosen = chosen.filter { it.file != file }
            forgetAll(file.path)
            files = findModels()
            choose(listOf(file))
        }
    }

    /** Classify the photo at [uri] with every chosen model. */
    fun classifyPhoto(uri: Uri) {
        isFresh = false
        photoUri = uri
        work {
            show(ScreenState.Running(files, chosen, shownPhoto))
            if (chosen.isEmpty()) throw DemoException(context.getString(R.string.no_model))
            classify(context.contentResolver.photo(uri))
        }
    }

    /**
     * Classify one frame of the live preview, unless the last one is still in work: then [convert] is not
     * called, and nothing else happens. It is called at once, on this thread.
     */
    fun classifyFrame(
        convert: () -> RgbImage,
        answer: (Result<ShownResult>) -> Unit,
    ) {
        if (!frameInWork.compareAndSet(false, true)) return
        val frame = runCatching(convert)
        worker.execute {
            val result =
                runCatching {
                    val model = chosen.firstOrNull() ?: throw DemoException(context.getString(R.string.no_model))
                    ShownResult(see(model.file.path, Photo(frame.getOrThrow())))
                }
            frameInWork.set(false)
            main.execute { answer(result) }
        }
    }

    /** Measure the first chosen model. */
    fun measure(plan: BenchmarkPlan) {
        isCanceled.set(false)
        worker.execute {
            val runs = mutableListOf<BenchmarkRun>()
            publish(BenchmarkState.Running(emptyList()))
            val end =
                attempt(context) {
                    val path = chosen.firstOrNull()?.file?.path ?: throw DemoException(context.getString(R.string.no_model))
                    val model = opened.getValue(path)
                    val measured =
                        benchmark(model, plan, ::usedMb, isCanceled = isCanceled::get) {
                            runs += it
                            publish(BenchmarkState.Running(runs.toList()))
                        }
                    if (isCanceled.get()) return@attempt publish(BenchmarkState.Idle)
                    if (measured.runs.isEmpty()) return@attempt publish(BenchmarkState.Failed(measured.skipped.first().reason))
                    val file = MeasuredFile(model.file, sha256(model.path), model.path.length(), model.loadMilliseconds)
                    val json = benchmarkJson(device(), runtimeName(model), model.metadata, file, measured)
                    publish(BenchmarkState.Done(measured.runs, measured.skipped, json))
                }
            end?.let { publish(BenchmarkState.Failed(it)) }
        }
    }

    private fun runtimeName(model: VisionModel): String {
        val version = if (model.metadata.format == Format.LITE) R.string.runtime_version else R.string.executorch_version
        return "${model.runtimeName} ${context.getString(version)}".trim()
    }

    /** End a measurement after the inference in hand. */
    fun cancelMeasurement() = isCanceled.set(true)

    private fun publish(next: BenchmarkState) =
        main.execute {
            benchmarkState = next
            listeners.toList().forEach { it() }
        }

    private fun work(job: () -> Unit) =
        worker.execute {
            attempt(context, job)?.let { show(ScreenState.Failed(files, chosen, shownPhoto, it)) }
        }

    private fun show(next: ScreenState) =
        main.execute {
            state = next
            listeners.toList().forEach { it() }
        }

    private fun findModels(): List<ModelFile> =
        try {
            modelFiles(context)
        } catch (error: IOException) {
            throw DemoException(
                context.getString(R.string.file_problem, context.getString(R.string.file_assets), "${error.message}"),
                error,
            )
        }

    private fun choose(models: List<ModelFile>) {
        // Only when the new ones are ready: if one fails, what worked before still does.
        chosen = models.map(::makeReady)
        // What is left out gives its memory back: a model is as large as its file.
        (opened.keys - models.map { it.path }.toSet()).forEach(::forgetModel)
        val inHand = source
        if (inHand == null || chosen.any { !it.takesPhotos }) show(ScreenState.Ready(files, chosen)) else classify(inHand)
    }

    private fun open(path: String) = VisionModel.open(File(path), publicKey = key, runtimes = runtimes)

    private fun makeReady(file: ModelFile): ReadyModel {
        show(ScreenState.Loading(files, file.name))
        val model = opened.getOrPut(file.path) { open(file.path) }
        return ready.getOrPut(file.path) {
            ReadyModel(file, model.metadata, model.verify(), model.loadMilliseconds, model.photoRefusal?.sentence)
        }
    }

    /** Run the chosen models on [photo]; each decodes it as it would alone. */
    private fun classify(photo: Photo) {
        show(ScreenState.Running(files, chosen, shownPhoto))
        val results =
            try {
                chosen.map { see(it.file.path, photo) }
            } catch (error: VisionError) {
                // A photo that no model can take does not push out the one in hand.
                if (!isOfPhoto(error.failure)) source = photo
                throw error
            }
        val columns =
            chosen.zip(results) { model, result ->
                val window = (latencies[model.file.path] ?: LatencyWindow()) + result.milliseconds
                latencies[model.file.path] = window
                Column(model, ShownResult(result), window)
            }
        source = photo
        val bitmap = results.first().image.toBitmap()
        shownPhoto = bitmap
        show(ScreenState.Done(files, chosen, bitmap, columns, usedMb()))
    }

    private fun isOfPhoto(failure: Failure): Boolean =
        when (failure) {
            is Failure.PhotoTooSmall, is Failure.PhotoTooLong, is Failure.PhotoTooLarge -> true
            is Failure.PhotoUnreadable, is Failure.OutOfMemory -> true
            else -> false
        }

    /** Run the model at [path] on [photo]; an embedding is compared with that of the photo before. */
    private fun see(
        path: String,
        photo: Photo,
    ): VisionResult {
        embeddings[path]?.let { (seen, result) -> if (seen !== photo) previous[path] = result }
        val model = opened[path] ?: throw DemoException(context.getString(R.string.no_model))
        val result = model.run(photo)
        if (result.content is Content.Embedding) embeddings[path] = photo to result
        return result.comparedTo(previous[path])
    }

    private fun forgetAll(path: String) {
        forgetModel(path)
        ready.remove(path)
        latencies.remove(path)
    }

    private fun forgetModel(path: String) {
        opened.remove(path)?.close()
        embeddings.remove(path)
        previous.remove(path)
    }

    private fun device() =
        Device(
            model = Build.MODEL ?: "unknown",
            os = "Android ${Build.VERSION.RELEASE}",
            cpu = if (Build.SUPPORTED_ABIS.firstOrNull() == "arm64-v8a") "arm64" else Build.SUPPORTED_ABIS.firstOrNull() ?: "unknown",
            cores =
                java.lang.Runtime
                    .getRuntime()
                    .availableProcessors(),
            app = "${context.packageName} ${context.packageManager.getPackageInfo(context.packageName, 0).versionName}",
        )
}

private const val KB_PER_MB = 1000.0 / 1.024

/** The process's memory (proportional set size), MB of 10^6 bytes; null where the system won't say. */
fun usedMb(): Double? = Debug.getPss().takeIf { it > 0 }?.let { it / KB_PER_MB }

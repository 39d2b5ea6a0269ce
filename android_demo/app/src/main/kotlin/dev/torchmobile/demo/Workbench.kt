package dev.torchmobile.demo

import android.content.Context
import android.net.Uri
import android.os.Build
import android.os.Debug
import dev.torchmobile.core.Artifact
import dev.torchmobile.core.BenchmarkPlan
import dev.torchmobile.core.BenchmarkRun
import dev.torchmobile.core.BenchmarkState
import dev.torchmobile.core.Column
import dev.torchmobile.core.DemoException
import dev.torchmobile.core.Device
import dev.torchmobile.core.Failure
import dev.torchmobile.core.LatencyWindow
import dev.torchmobile.core.MeasuredFile
import dev.torchmobile.core.ModelFile
import dev.torchmobile.core.ModelInput
import dev.torchmobile.core.Photo
import dev.torchmobile.core.Prediction
import dev.torchmobile.core.PublicKey
import dev.torchmobile.core.ReadyModel
import dev.torchmobile.core.RgbImage
import dev.torchmobile.core.Runtime
import dev.torchmobile.core.ScreenState
import dev.torchmobile.core.Shown
import dev.torchmobile.core.benchmark
import dev.torchmobile.core.benchmarkJson
import dev.torchmobile.core.firstLine
import dev.torchmobile.core.openArtifact
import dev.torchmobile.core.predict
import dev.torchmobile.core.replayGolden
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
    private val runtime: Runtime,
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
    private val opened = mutableMapOf<String, Artifact>()
    private val ready = mutableMapOf<String, ReadyModel>()
    private val latencies = mutableMapOf<String, LatencyWindow>()
    private var files = emptyList<ModelFile>()
    private var chosen = emptyList<ReadyModel>()
    private var source: PhotoSource? = null
    private var photo: Photo? = null

    // By the model's path: the photo in hand and its vector, and the vector of the photo before.
    private val embeddings = mutableMapOf<String, Pair<RgbImage, DoubleArray>>()
    private val previous = mutableMapOf<String, DoubleArray>()

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
            val first = files.firstOrNull() ?: throw DemoException(Failure.NoModel)
            choose(listOf(first))
        }

    /** Run [models] (one, or two side by side) on the photo in hand. */
    fun select(models: List<ModelFile>) = work { choose(models) }

    /** Take a model from the system's picker; nothing is lost where it does not load. */
    fun openModel(uri: Uri) =
        work {
            val incoming = importModel(context, uri, key)
            show(ScreenState.Loading(files, incoming.name))
            val (artifact, file) =
                try {
                    // Under a name of its own: an earlier one of its name stays until it has loaded.
                    val artifact = openArtifact(runtime, incoming.path, incoming.name, key)
                    try {
                        artifact to incoming.keep()
                    } catch (error: DemoException) {
                        artifact.close()
                        throw error
                    }
                } finally {
                    incoming.discard()
                }
            // The same name may have held another model.
            chosen = chosen.filter { it.file != file }
            forgetModel(file.path)
            ready.remove(file.path)
            latencies.remove(file.path)
            opened[file.path] = artifact
            files = findModels()
            choose(listOf(file))
        }

    /** Classify the photo at [uri] with every chosen model. */
    fun classifyPhoto(uri: Uri) =
        work {
            show(ScreenState.Running(files, chosen, photo))
            if (chosen.isEmpty()) throw DemoException(Failure.NoModel)
            val next = PhotoSource(context.contentResolver, uri)
            // One that no model can take does not push out the photo in hand.
            decode(next)
            source = next
            classifyInHand()
        }

    /**
     * Classify one frame of the live preview, unless the last one is still in work: then [convert] is not
     * called, and nothing else happens. It is called at once, on this thread.
     */
    fun classifyFrame(
        convert: () -> RgbImage,
        answer: (Result<Prediction>) -> Unit,
    ) {
        if (!frameInWork.compareAndSet(false, true)) return
        val frame = runCatching(convert)
        worker.execute {
            val model = chosen.firstOrNull()
            val result =
                runCatching {
                    see(model?.file?.path ?: throw DemoException(Failure.NoModel), frame.getOrThrow())
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
                attempt {
                    val model = chosen.firstOrNull() ?: throw DemoException(Failure.NoModel)
                    val artifact = opened.getValue(model.file.path)
                    try {
                        benchmark(artifact, plan, runtime::setThreads, ::usedMb, isCanceled = isCanceled::get) {
                            runs += it
                            publish(BenchmarkState.Running(runs.toList()))
                        }
                    } finally {
                        runtime.setThreads(THREADS)
                    }
                    if (isCanceled.get()) return@attempt publish(BenchmarkState.Idle)
                    val file = File(model.file.path)
                    val measured = MeasuredFile(model.file.name, sha256(file), file.length(), model.loadMs)
                    val name = runtime.nameFor(model.file.path)
                    publish(BenchmarkState.Done(runs, benchmarkJson(device(), name, model.metadata, measured, runs)))
                }
            end?.let { publish(BenchmarkState.Failed(it)) }
        }
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
            attempt(job)?.let { show(ScreenState.Failed(files, chosen, photo, it)) }
        }

    /** Do [job]; what it throws becomes a sentence: an exception of the one worker would end the app. */
    private fun attempt(job: () -> Unit): Failure? =
        try {
            job()
            null
        } catch (error: DemoException) {
            error.failure
        } catch (_: OutOfMemoryError) {
            Failure.OutOfMemory("this")
        } catch (error: IOException) {
            Failure.Unexpected(firstLine(error))
        } catch (error: RuntimeException) {
            Failure.Unexpected(firstLine(error))
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
            throw DemoException(Failure.DamagedModel("The app's model", "${error.message}"), error)
        }

    private fun choose(models: List<ModelFile>) {
        // Only when the new ones are ready: if one fails, what worked before still does.
        chosen = models.map(::makeReady)
        // What is left out gives its memory back: a model is as large as its file.
        (opened.keys - models.map { it.path }.toSet()).forEach(::forgetModel)
        val forPhotos = chosen.all { it.takesPhotos }
        if (source == null || !forPhotos) show(ScreenState.Ready(files, chosen)) else classifyInHand()
    }

    private fun makeReady(file: ModelFile): ReadyModel {
        show(ScreenState.Loading(files, file.name))
        val artifact = opened.getOrPut(file.path) { openArtifact(runtime, file.path, file.name, key) }
        runtime.setThreads(THREADS)
        return ready.getOrPut(file.path) { ReadyModel(file, artifact.metadata, replayGolden(artifact), artifact.loadMs) }
    }

    /** Decode [source] for each of the chosen models: each sees what it would see alone. */
    private fun decode(source: PhotoSource): List<Photo> =
        source.photos(
            chosen.map {
                val input = it.metadata.input as? ModelInput.Image ?: throw DemoException(Failure.NotForPhotos(it.metadata.name))
                input to it.metadata.preprocessing
            },
        )

    private fun classifyInHand() {
        val photos = decode(source ?: return)
        val inHand = photos.first()
        photo = inHand
        show(ScreenState.Running(files, chosen, inHand))
        val columns =
            chosen.zip(photos) { model, seen ->
                val result = see(model.file.path, seen.image)
                val window = (latencies[model.file.path] ?: LatencyWindow()) + result.ms
                latencies[model.file.path] = window
                Column(model, seen, result, window)
            }
        show(ScreenState.Done(files, chosen, inHand, columns, usedMb()))
    }

    /** Run the model at [path] on [image]; an embedding is compared with that of the image before. */
    private fun see(
        path: String,
        image: RgbImage,
    ): Prediction {
        embeddings[path]?.let { (seen, vector) -> if (seen !== image) previous[path] = vector }
        val artifact = opened[path] ?: throw DemoException(Failure.NoModel)
        val prediction = predict(artifact, image, previous[path])
        (prediction.shown as? Shown.Embedding)?.let { embeddings[path] = image to it.vector }
        return prediction
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

/** Threads of one inference, as in the iOS app: more than fast cores make a phone slower. */
private val THREADS =
    minOf(
        java.lang.Runtime
            .getRuntime()
            .availableProcessors(),
        4,
    )

private const val KB_PER_MB = 1000.0 / 1.024

/** The process's memory (proportional set size), MB of 10^6 bytes; null where the system won't say. */
fun usedMb(): Double? = Debug.getPss().takeIf { it > 0 }?.let { it / KB_PER_MB }

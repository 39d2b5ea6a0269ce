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

    private val key by lazy { PublicKey.of(publicKey) }

    // Touched on the worker only.
    private val opened = mutableMapOf<String, Artifact>()
    private val ready = mutableMapOf<String, ReadyModel>()
    private val latencies = mutableMapOf<String, LatencyWindow>()
    private var files = emptyList<ModelFile>()
    private var chosen = emptyList<ReadyModel>()
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

    /** Take a `.ptl` from the system's picker. */
    fun openModel(uri: Uri) =
        work {
            val file = importModel(context, uri, key)
            // The same name may hold another model now.
            chosen = chosen.filter { it.file != file }
            forgetModel(file.path)
            ready.remove(file.path)
            files = findModels()
            try {
                choose(listOf(file))
            } catch (error: DemoException) {
                // Not left in the list: it would fail again at each start.
                File(file.path).delete()
                files = findModels()
                throw error
            }
        }

    /** Classify the photo at [uri] with every chosen model. */
    fun classifyPhoto(uri: Uri) =
        work {
            show(ScreenState.Running(files, chosen, photo))
            if (chosen.isEmpty()) throw DemoException(Failure.NoModel)
            chosen.firstOrNull { !it.takesPhotos }?.let { throw DemoException(Failure.NotForPhotos(it.metadata.name)) }
            val bounds = chosen.first().metadata.input as ModelInput.Image
            // The model that wants most pixels decides.
            val wants = chosen.mapNotNull { it.metadata.preprocessing }.maxByOrNull { maxOf(it.height, it.width) / it.cropPct }
            photo = readPhoto(context.contentResolver, uri, bounds, wants)
            classifyInHand()
        }

    /** Classify one frame of the live preview, unless the last one is still in work. */
    fun classifyFrame(
        image: RgbImage,
        answer: (Result<Prediction>) -> Unit,
    ) {
        if (!frameInWork.compareAndSet(false, true)) return
        worker.execute {
            val model = chosen.firstOrNull()
            val result =
                runCatching {
                    see(model?.file?.path ?: throw DemoException(Failure.NoModel), image)
                }
            frameInWork.set(false)
            main.execute { answer(result) }
        }
    }

    /** Measure the first chosen model. */
    fun measure(plan: BenchmarkPlan) =
        worker.execute {
            val runs = mutableListOf<BenchmarkRun>()

            publish(BenchmarkState.Running(emptyList()))
            try {
                val model = chosen.firstOrNull() ?: throw DemoException(Failure.NoModel)
                val artifact = opened.getValue(model.file.path)
                benchmark(artifact, plan, runtime::setThreads, ::usedMb) {
                    runs += it
                    publish(BenchmarkState.Running(runs.toList()))
                }
                val file = File(model.file.path)
                val measured = MeasuredFile(model.file.name, sha256(file), file.length(), model.loadMs)
                publish(BenchmarkState.Done(runs, benchmarkJson(device(), runtime.name, model.metadata, measured, runs)))
            } catch (error: DemoException) {
                publish(BenchmarkState.Failed(error.failure))
            }
        }

    private fun publish(next: BenchmarkState) =
        main.execute {
            benchmarkState = next
            listeners.toList().forEach { it() }
        }

    private fun work(job: () -> Unit) =
        worker.execute {
            try {
                job()
            } catch (error: DemoException) {
                show(ScreenState.Failed(files, chosen, photo, error.failure))
            } catch (error: OutOfMemoryError) {
                show(ScreenState.Failed(files, chosen, photo, Failure.OutOfMemory("this")))
            }
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
        if (photo == null || !forPhotos) show(ScreenState.Ready(files, chosen)) else classifyInHand()
    }

    private fun makeReady(file: ModelFile): ReadyModel {
        show(ScreenState.Loading(files, file.name))
        val artifact = opened.getOrPut(file.path) { openArtifact(runtime, file.path, file.name, key) }
        return ready.getOrPut(file.path) { ReadyModel(file, artifact.metadata, replayGolden(artifact), artifact.loadMs) }
    }

    private fun classifyInHand() {
        val inHand = photo ?: return
        show(ScreenState.Running(files, chosen, inHand))
        val columns =
            chosen.map { model ->
                val result = see(model.file.path, inHand.image)
                val window = (latencies[model.file.path] ?: LatencyWindow()) + result.ms
                latencies[model.file.path] = window
                Column(model, result, window)
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

private const val KB_PER_MB = 1000.0 / 1.024

/** The process's memory (proportional set size), MB of 10^6 bytes; null where the system won't say. */
fun usedMb(): Double? = Debug.getPss().takeIf { it > 0 }?.let { it / KB_PER_MB }

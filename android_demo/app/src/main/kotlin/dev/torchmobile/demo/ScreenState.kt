package dev.torchmobile.core

/** One model that can be chosen: its file name, where it lies, and whether a person opened it. */
data class ModelFile(
    val name: String,
    val path: String,
    val isOpened: Boolean,
)

/** A model ready for photos, with the badge it earned on this phone. */
data class ReadyModel(
    val file: ModelFile,
    val metadata: Metadata,
    val golden: GoldenReport,
    val loadMs: Double,
) {
    val takesPhotos: Boolean get() = metadata.input is ModelInput.Image
}

/** A photo as the model sees it; [sample] is how much smaller it was decoded. */
class Photo(
    val image: RgbImage,
    val sample: Int,
)

/** One column of the side-by-side result; [photo] is what this model saw. */
data class Column(
    val model: ReadyModel,
    val photo: Photo,
    val prediction: Prediction,
    val latency: LatencyWindow,
)

/** All the main screen can be. */
sealed interface ScreenState {
    /** Models found so far; empty while the app copies its assets. */
    val models: List<ModelFile>

    data class Loading(
        override val models: List<ModelFile>,
        val what: String,
    ) : ScreenState

    data class Ready(
        override val models: List<ModelFile>,
        val chosen: List<ReadyModel>,
    ) : ScreenState

    data class Running(
        override val models: List<ModelFile>,
        val chosen: List<ReadyModel>,
        val photo: Photo?,
    ) : ScreenState

    data class Done(
        override val models: List<ModelFile>,
        val chosen: List<ReadyModel>,
        val photo: Photo,
        val columns: List<Column>,
        val memoryMb: Double?,
    ) : ScreenState

    /** [chosen] and [photo] are what still stands, so the next try starts from there. */
    data class Failed(
        override val models: List<ModelFile>,
        val chosen: List<ReadyModel>,
        val photo: Photo?,
        val failure: Failure,
    ) : ScreenState
}

/** All the benchmark screen can be. */
sealed interface BenchmarkState {
    data object Idle : BenchmarkState

    data class Running(
        val finished: List<BenchmarkRun>,
    ) : BenchmarkState

    data class Done(
        val runs: List<BenchmarkRun>,
        val json: String,
    ) : BenchmarkState

    data class Failed(
        val failure: Failure,
    ) : BenchmarkState
}

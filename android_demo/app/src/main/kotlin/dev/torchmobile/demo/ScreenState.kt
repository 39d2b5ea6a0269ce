package dev.torchmobile.demo

import android.graphics.Bitmap
import dev.torchmobile.core.BenchmarkRun
import dev.torchmobile.core.LatencyWindow
import dev.torchmobile.core.Metadata
import dev.torchmobile.core.Skipped
import dev.torchmobile.core.Verification

/** One model that can be chosen: its file name, where it lies, and whether a person opened it. */
data class ModelFile(
    val name: String,
    val path: String,
    val isOpened: Boolean,
)

/** A model ready for use, with the badge it earned on this phone; [refusal] says why it takes no photos. */
data class ReadyModel(
    val file: ModelFile,
    val metadata: Metadata,
    val verification: Verification,
    val loadMilliseconds: Double,
    val refusal: String?,
) {
    val takesPhotos: Boolean get() = refusal == null
}

/** One column of the side-by-side result. */
data class Column(
    val model: ReadyModel,
    val shown: ShownResult,
    val latency: LatencyWindow,
)

/** All the main screen can be. */
sealed interface ScreenState {
    /** Models found so far; empty while the app copies its assets. */
    val models: List<ModelFile>

    /** Those that are ready. */
    val chosen: List<ReadyModel> get() = emptyList()

    /** What is shown of the photo in hand. */
    val photo: Bitmap? get() = null

    /** Whether a person has to wait. */
    val isBusy: Boolean get() = this is Loading || this is Running

    data class Loading(
        override val models: List<ModelFile>,
        val what: String,
    ) : ScreenState

    data class Ready(
        override val models: List<ModelFile>,
        override val chosen: List<ReadyModel>,
    ) : ScreenState

    data class Running(
        override val models: List<ModelFile>,
        override val chosen: List<ReadyModel>,
        override val photo: Bitmap?,
    ) : ScreenState

    data class Done(
        override val models: List<ModelFile>,
        override val chosen: List<ReadyModel>,
        override val photo: Bitmap,
        val columns: List<Column>,
        val memoryMb: Double?,
    ) : ScreenState

    /** [chosen] and [photo] are what still stands, so the next try starts from there. */
    data class Failed(
        override val models: List<ModelFile>,
        override val chosen: List<ReadyModel>,
        override val photo: Bitmap?,
        val sentence: String,
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
        val skipped: List<Skipped>,
        val json: String,
    ) : BenchmarkState

    data class Failed(
        val sentence: String,
    ) : BenchmarkState
}

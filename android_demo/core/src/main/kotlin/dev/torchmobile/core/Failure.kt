package dev.torchmobile.core

/** Everything that can go wrong, as sentences for the person holding the phone. */
sealed interface Failure {
    /** What happened, where, and what to do. */
    val sentence: String

    data object NoModel : Failure {
        override val sentence =
            "There is no model in this app yet. On your computer run " +
                "`python -m exporter --install android_demo` and build again, or open a .ptl or .pte file."
    }

    data class DamagedModel(
        val file: String,
        val detail: String,
    ) : Failure {
        override val sentence =
            "$file is damaged or was not made by `python -m exporter`: $detail. Export it again."
    }

    data class NotVouchedFor(
        val file: String,
        val keyId: String,
        val doubt: Doubt,
        val why: String,
    ) : Failure {
        override val sentence =
            "$file was not opened: $why, and this app takes only models that key $keyId signed. Get the file " +
                "again from those who sign it, or sign it: `python -m exporter sign FILE --key KEY`."
    }

    data class BadPublicKey(
        val text: String,
    ) : Failure {
        override val sentence =
            "The public key built into this app (${text.take(80)}) is not one of minisign's, so no model is opened. " +
                "Build the app again with the line RW... of `python -m exporter keygen NAME`."
    }

    data class WrongSchema(
        val file: String,
        val version: String,
        val newer: Boolean,
    ) : Failure {
        override val sentence =
            "$file has schema version $version, this app reads $SCHEMA_MAJOR.x. " +
                if (newer) "Update the app." else "Export the model again."
    }

    data class UnsupportedAbi(
        val abis: String,
    ) : Failure {
        override val sentence =
            "PyTorch's library for this phone's processor ($abis) is not in the app. " +
                "It runs on arm64-v8a and x86_64."
    }

    data class RuntimeAbsent(
        val file: String,
        val format: Format,
    ) : Failure {
        override val sentence =
            "$file is for ${format.runtime}, which this app was built without. Build it with `runtimes=both` in " +
                "gradle.properties, or export the model with `--format ${format.other.label}`."
    }

    data class PhotoUnreadable(
        val detail: String,
    ) : Failure {
        override val sentence =
            "This photo cannot be read: $detail. Try another, JPEG, PNG or WebP."
    }

    data class PhotoOutOfBounds(
        val width: Int,
        val height: Int,
        val refusal: Refusal,
        val bounds: ModelInput.Image,
    ) : Failure {
        override val sentence =
            when (refusal) {
                Refusal.SMALL -> {
                    "This photo ($width x $height) is too small: the model needs at least " +
                        "${bounds.minSide} pixels per side."
                }

                Refusal.LONG -> {
                    "This photo ($width x $height) is too long and narrow: the model takes up to " +
                        "${bounds.maxAspect} times as long as wide. Crop it."
                }

                Refusal.LARGE -> {
                    "This photo ($width x $height) is too large: the model takes up to " +
                        "${bounds.maxSide} pixels per side. Make it smaller."
                }
            }
    }

    data class NotForPhotos(
        val model: String,
    ) : Failure {
        override val sentence =
            "$model takes tensors, not photos: its golden test and the benchmark work, photos " +
                "don't. Export it with `--input image`."
    }

    data class RunFailed(
        val model: String,
        val detail: String,
        val format: Format = Format.LITE,
    ) : Failure {
        override val sentence =
            "$model loaded but did not run: $detail. Check the file on your computer with " +
                "`python -m runtime_check FILE --run-on ${format.runOn}`."
    }

    data class OutOfMemory(
        val what: String,
    ) : Failure {
        override val sentence = "Not enough memory for $what. Close other apps, or choose a smaller one."
    }

    data class Unexpected(
        val detail: String,
    ) : Failure {
        override val sentence = "This did not work: $detail. Try again, or choose another file."
    }

    data class CameraUnavailable(
        val detail: String,
    ) : Failure {
        override val sentence = "The camera cannot be used: $detail."
    }
}

/** Carries a [Failure] to where the state is set. */
class DemoException(
    val failure: Failure,
    cause: Throwable? = null,
) : Exception(failure.sentence, cause)

package dev.torchmobile.core

private const val MOST_OF_A_KEY = 80

/**
 * Everything that can go wrong in this library, with a [sentence] for the person holding the device.
 *
 * Kinds and sentences are those of the iOS library too (`tests/golden/sentences.json`). `file` is a file's
 * name, `why` a part of a sentence, `runOn` what `python -m runtime_check` calls the runtime.
 */
sealed interface Failure {
    /** What happened, where, and what to do. */
    val sentence: String

    /** The file has no such record: it was not made by the exporter. */
    data class MissingRecord(
        val file: String,
        val record: String,
    ) : Failure {
        override val sentence = "$file has no $record: it was not made by `python -m exporter`. Export the model again."
    }

    /** Its schema is older than what this library [reads]. */
    data class SchemaOlder(
        val file: String,
        val version: String,
        val reads: Int = SCHEMA_MAJOR,
    ) : Failure {
        override val sentence = "$file has schema version $version, and this app reads $reads.x. Export the model again."
    }

    /** Its schema is newer than what this library [reads]. */
    data class SchemaNewer(
        val file: String,
        val version: String,
        val reads: Int = SCHEMA_MAJOR,
    ) : Failure {
        override val sentence = "$file has schema version $version, and this app reads $reads.x. Update the app."
    }

    /** What is in it cannot be read, or contradicts itself. */
    data class Damaged(
        val file: String,
        val why: String,
    ) : Failure {
        override val sentence = "$file is damaged or was not made by `python -m exporter`: $why. Export it again."
    }

    /** The key that the app trusts did not sign it; [doubt] says how this is known. */
    data class NotVouchedFor(
        val file: String,
        val why: String,
        val key: String,
        val doubt: Doubt,
    ) : Failure {
        override val sentence =
            "$file was not opened: $why, and this app takes only models that key $key signed. Get the file again from " +
                "those who sign it, or sign it: `python -m exporter sign FILE --key KEY`."
    }

    /** The key that the app trusts is none. */
    data class BadPublicKey(
        val text: String,
    ) : Failure {
        override val sentence =
            "The public key built into this app (${text.take(MOST_OF_A_KEY)}) is not one of minisign's, so no model is " +
                "opened. Build the app again with the line RW... of `python -m exporter keygen NAME`."
    }

    /** The app has no [runtime] for files like it; [remedy] is how it gets one, [other] the other format. */
    data class RuntimeAbsent(
        val file: String,
        val runtime: String,
        val remedy: String,
        val other: String,
    ) : Failure {
        override val sentence =
            "$file is for $runtime, which this app was built without. $remedy, or export the model with `--format $other`."
    }

    /** The runtime does not take it. */
    data class CannotOpen(
        val file: String,
        val why: String,
        val runOn: String,
    ) : Failure {
        override val sentence =
            "$file does not load: $why. It is damaged, or it needs an operator that this app's runtime does not have. " +
                "Check it on a computer with `python -m runtime_check FILE --run-on $runOn`."
    }

    /** The runtime does not compute it, or gives other outputs than its metadata states. */
    data class RunFailed(
        val file: String,
        val why: String,
        val runOn: String,
    ) : Failure {
        override val sentence =
            "$file loaded but did not run: $why. Check it on a computer with `python -m runtime_check FILE --run-on $runOn`."
    }

    /** It is not made for photos; [inputs] are its tensors. */
    data class TakesTensors(
        val file: String,
        val inputs: String,
    ) : Failure {
        override val sentence =
            "$file takes tensors, not photos ($inputs): it was exported with `--input tensor`. Its golden vectors and " +
                "its benchmark run; for photos export it without that."
    }

    /** A side of the photo is below [limit] pixels. */
    data class PhotoTooSmall(
        val width: Int,
        val height: Int,
        val limit: Int,
    ) : Failure {
        override val sentence =
            "This photo ($width x $height) is too small: the model needs at least $limit pixels per side. Choose a larger one."
    }

    /** The photo is more than [limit] times as long as wide. */
    data class PhotoTooLong(
        val width: Int,
        val height: Int,
        val limit: Int,
    ) : Failure {
        override val sentence =
            "This photo ($width x $height) is too long and narrow: the model takes up to $limit times as long as wide. Crop it."
    }

    /** A side of the photo is above [limit] pixels, and it cannot be decoded smaller. */
    data class PhotoTooLarge(
        val width: Int,
        val height: Int,
        val limit: Int,
    ) : Failure {
        override val sentence =
            "This photo ($width x $height) is too large: the model takes up to $limit pixels per side. Make it smaller."
    }

    /** It is no photo, or a damaged one, or the app may not read it. */
    data class PhotoUnreadable(
        val why: String,
    ) : Failure {
        override val sentence = "This photo cannot be read: $why. Try another, JPEG, PNG or WebP."
    }

    /** There is no memory for [what]. */
    data class OutOfMemory(
        val what: String,
    ) : Failure {
        override val sentence = "Not enough memory for $what. Close other apps, or choose a smaller one."
    }

    /** [VisionModel.close] was called. */
    data class Closed(
        val file: String,
    ) : Failure {
        override val sentence = "$file was closed: open it again."
    }
}

/** What this library throws: [failure] says what it is, and the message is its sentence. */
class VisionError(
    val failure: Failure,
    cause: Throwable? = null,
) : Exception(failure.sentence, cause)

/** The first line of what a runtime threw: c10's messages carry a page of C++ after it. */
fun firstLine(error: Throwable): String =
    (error.message ?: error.javaClass.simpleName)
        .lineSequence()
        .first()
        .trim()
        .trimEnd('.')

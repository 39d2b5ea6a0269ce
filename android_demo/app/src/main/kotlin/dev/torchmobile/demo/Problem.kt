package dev.torchmobile.demo

import dev.torchmobile.core.VisionError
import dev.torchmobile.core.firstLine
import java.io.IOException

/** What goes wrong in the app itself; the message is a sentence for the person holding the phone. */
class DemoException(
    message: String,
    cause: Throwable? = null,
) : Exception(message, cause)

/** The app's own sentences; those about models and photos are the library's. */
object Problem {
    const val NO_MODEL =
        "There is no model in this app yet. On your computer run " +
            "`python -m exporter --install android_demo` and build again, or open a .ptl or .pte file."

    fun processor(abis: String) =
        "The runtime's library for this phone's processor ($abis) is not in the app. It runs on arm64-v8a and x86_64."

    fun camera(why: String) = "The camera cannot be used: $why."

    fun file(
        name: String,
        why: String,
    ) = "$name cannot be taken in: $why. Try again, or choose another file."

    fun unexpected(why: String) = "This did not work: $why. Try again, or choose another file."
}

/** Do [job]; what it throws becomes a sentence: an exception of the one worker would end the app. */
fun attempt(
    abis: String,
    job: () -> Unit,
): String? =
    try {
        job()
        null
    } catch (error: VisionError) {
        sentence(error, abis)
    } catch (error: DemoException) {
        error.message
    } catch (_: OutOfMemoryError) {
        "Not enough memory for this. Close other apps, or choose a smaller one."
    } catch (error: IOException) {
        Problem.unexpected(firstLine(error))
    } catch (error: RuntimeException) {
        Problem.unexpected(firstLine(error))
    }

/** A runtime that does not link is one that was built for other processors. */
private fun sentence(
    error: VisionError,
    abis: String,
): String = if (error.cause is LinkageError) Problem.processor(abis) else error.failure.sentence

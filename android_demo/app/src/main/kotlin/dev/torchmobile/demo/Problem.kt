package dev.torchmobile.demo

import android.content.Context
import android.os.Build
import dev.torchmobile.core.VisionError
import dev.torchmobile.core.firstLine
import java.io.IOException

/** What goes wrong in the app itself; the message is a sentence for the person holding the phone. */
class DemoException(
    message: String,
    cause: Throwable? = null,
) : Exception(message, cause)

/** Do [job]; what it throws becomes a sentence: an exception of the one worker would end the app. */
fun attempt(
    context: Context,
    job: () -> Unit,
): String? =
    try {
        job()
        null
    } catch (error: VisionError) {
        sentence(context, error)
    } catch (error: DemoException) {
        error.message
    } catch (_: OutOfMemoryError) {
        context.getString(R.string.memory_short)
    } catch (error: IOException) {
        context.getString(R.string.unexpected, firstLine(error))
    } catch (error: RuntimeException) {
        context.getString(R.string.unexpected, firstLine(error))
    }

/** A runtime that does not link is one that was built for other processors. */
private fun sentence(
    context: Context,
    error: VisionError,
): String =
    if (error.cause is LinkageError) {
        context.getString(R.string.wrong_processor, Build.SUPPORTED_ABIS.joinToString())
    } else {
        error.failure.sentence
    }

package dev.torchmobile.demo

import android.content.res.AssetManager
import android.content.res.Resources
import dev.torchmobile.core.Format
import dev.torchmobile.core.LoadedModel
import dev.torchmobile.core.Runtime
import dev.torchmobile.core.TensorValue
import java.io.File
import java.util.concurrent.Executor

/** The app with the tiny model of `tests/golden` in place of PyTorch, and work done at once. */
class TestApplication : DemoApplication() {
    override fun runtimes() = newRuntimes()

    fun newRuntimes(): List<Runtime> = listOf(TinyRuntime())

    override fun worker() = Executor { it.run() }

    // The framework's own assets hold no model.
    override fun getAssets(): AssetManager = if (withoutModels) Resources.getSystem().assets else super.getAssets()

    override fun publicKey() = key

    companion object {
        var withoutModels = false
        var key = ""

        /** What the runtime was told, in order. */
        val threads = mutableListOf<Int>()
    }
}

/**
 * What a file is comes from its first word: `tiny` (as a zip is), `wrong` (other numbers), a model of
 * [TASK_MODELS], else damaged.
 */
private class TinyRuntime : Runtime {
    override val format = Format.LITE
    override val name = "fake"

    override fun open(path: String): LoadedModel {
        val word = File(path).readText(Charsets.ISO_8859_1).substringBefore(' ').trim()
        val kind = if (word.startsWith("PK")) "tiny" else word
        if (kind == "unsupported") throw UnsatisfiedLinkError("no library for mips")
        TASK_MODELS[kind]?.let { return it }
        check(kind in setOf("tiny", "wrong", "newer")) { "failed finding central directory" }
        return object : LoadedModel {
            override val metadataJson = fixture(if (kind == "newer") "metadata_newer_major" else "metadata")
            override val goldenJson = fixture("golden")

            override fun run(inputs: List<TensorValue>) = listOf(forward(inputs[0], if (kind == "wrong") 1 else 0))

            override fun close() = Unit
        }
    }

    override fun setThreads(threads: Int) {
        TestApplication.threads += threads
    }
}

internal fun fixture(name: String) = golden("contract/$name.json")

internal fun golden(name: String) = File(checkNotNull(System.getProperty("golden")), name).readText()

/** Runtimes as the application's own. */
internal fun DemoApplication.madeRuntimes(): List<Runtime> = (this as TestApplication).newRuntimes()

/** `tiny_forward` of `tests/mobile/golden/tiny.py`; [shift] makes it wrong. */
private fun forward(
    image: TensorValue,
    shift: Int,
): TensorValue {
    val sums = LongArray(5)
    image.bytes.forEachIndexed { index, byte -> sums[(index + shift) % 5] += (byte.toInt() and 0xFF).toLong() }
    val total = sums.sum().toFloat()
    return TensorValue.of(FloatArray(5) { sums[it].toFloat() / total }, listOf(5))
}

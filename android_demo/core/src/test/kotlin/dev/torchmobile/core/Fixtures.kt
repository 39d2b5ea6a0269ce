package dev.torchmobile.core

import java.io.File
import java.nio.file.Files

/** The fixtures pytest and `swift test` read as well. */
internal object Fixtures {
    private val folder = File(System.getProperty("golden") ?: error("run with -Dgolden=tests/golden"))

    fun text(name: String): String = File(folder, name).readText()

    fun read(name: String): JsonNode = JsonNode.parse(text(name))
}

/** The tiny model of `tests/mobile/golden/tiny.py`: class c gets the share of bytes c mod 5. */
internal fun tinyForward(image: TensorValue): TensorValue {
    val sums = LongArray(5)
    image.bytes.forEachIndexed { index, byte -> sums[index % 5] += (byte.toInt() and 0xFF).toLong() }
    val total = sums.sum().toFloat()
    return TensorValue.of(FloatArray(5) { sums[it].toFloat() / total }, listOf(5))
}

/** A runtime without a file behind it. */
internal class FakeRuntime(
    private val metadata: String = Fixtures.text("contract/metadata.json"),
    private val golden: String = Fixtures.text("contract/golden.json"),
    override val format: Format = Format.LITE,
    private val forward: (List<TensorValue>) -> List<TensorValue> = { listOf(tinyForward(it[0])) },
) : Runtime {
    var closed = 0
    val threads = mutableListOf<Int>()
    override val name = "fake 1.0"

    override fun open(path: String) =
        object : LoadedModel {
            override val metadataJson = metadata
            override val goldenJson = golden

            override fun run(inputs: List<TensorValue>) = forward(inputs)

            override fun close() {
                closed++
            }
        }

    override fun setThreads(threads: Int) {
        this.threads += threads
    }
}

/** A file of this name, which says nothing, opened with [runtime]. */
internal fun opened(
    runtime: Runtime,
    name: String = "tiny.ptl",
    clock: Clock = System::nanoTime,
): VisionModel {
    val folder = Files.createTempDirectory("models").toFile().apply { deleteOnExit() }
    val file = File(folder, name).apply { deleteOnExit() }
    file.writeText("a model")
    return VisionModel.open(file, 2, null, listOf(runtime), clock)
}

package dev.torchmobile.core

import java.io.File

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

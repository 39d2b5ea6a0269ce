package dev.torchmobile.core

/** Smallest, largest and mean value of a whole tensor, of those that are finite, and how many are not. */
data class Figures(
    val minimum: Double?,
    val maximum: Double?,
    val mean: Double?,
    val nonfinite: Int = 0,
)

/**
 * An expected output of [shape]: all of it, or every [stride]-th value of a large one.
 *
 * [held] has the values at [start], [start] + [stride], ... of the tensor in C order; [figures] are
 * those of the whole tensor, of a sampled one only.
 */
class Expected(
    val shape: List<Long>,
    val held: TensorValue,
    val start: Int = 0,
    val stride: Int = 1,
    val figures: Figures? = null,
) {
    val isWhole: Boolean get() = stride == 1
}

/** One input with the outputs the Python model gave for it. */
data class GoldenCase(
    val name: String,
    val inputs: List<TensorValue>,
    val expected: List<Expected>,
)

/** `extra/golden.json`. */
data class Golden(
    val tolerance: Tolerance,
    val cases: List<GoldenCase>,
)

/** Parse `extra/golden.json` of [file]; throw [VisionError] that names the field and the cure. */
fun parseGolden(
    text: String,
    file: String,
): Golden =
    readRecord(text, file, GOLDEN_KEY) { root ->
        val cases =
            root.field("cases").list().map { case ->
                GoldenCase(
                    name = case.field("name").string(),
                    inputs = case.field("inputs").list().map(::tensor),
                    expected = case.field("expected").list().map(::expected),
                )
            }
        if (cases.isEmpty()) root.field("cases").wrong("a list of at least one")
        Golden(tolerance(root.field("tolerance")), cases)
    }

internal fun tensor(node: JsonNode): TensorValue = held(node, node.shape())

/** Read an expected output, whole or sampled. */
internal fun expected(node: JsonNode): Expected {
    val stride = node.optional("stride")?.int() ?: 1
    val start = node.optional("start")?.int() ?: 0
    if (stride < 1) node.field("stride").wrong("above zero")
    if (start !in 0 until stride) node.field("start").wrong("below stride")
    val shape = node.shape()
    if (stride == 1) return Expected(shape, held(node, shape))
    val count = TensorValue.elementCount(shape) ?: node.field("shape").wrong("a shape")
    val places = (count - start + stride - 1).coerceAtLeast(0) / stride
    val nonfinite = node.optional("nonfinite")?.int() ?: 0
    if (nonfinite < 0) node.field("nonfinite").wrong("not below zero")
    val figures = Figures(figure(node, "minimum"), figure(node, "maximum"), figure(node, "mean"), nonfinite)
    return Expected(shape, held(node, listOf(places)), start, stride, figures)
}

private fun figure(
    node: JsonNode,
    name: String,
) = node.optional(name)?.double()

private fun held(
    node: JsonNode,
    shape: List<Long>,
): TensorValue {
    val dtype = node.dtype()
    val bytes =
        try {
            decodeBase64(node.field("data").string())
        } catch (_: IllegalArgumentException) {
            node.field("data").wrong("base64")
        }
    val count = TensorValue.elementCount(shape)
    // Divide, don't multiply: a huge shape must not wrap around to a small product.
    if (bytes.size % dtype.size != 0 || count != (bytes.size / dtype.size).toLong()) {
        node.field("data").wrong("$shape of ${dtype.label}, but ${bytes.size} bytes")
    }
    return TensorValue(dtype, shape, bytes)
}

private val ALPHABET = ('A'..'Z') + ('a'..'z') + ('0'..'9') + '+' + '/'
private val VALUES = IntArray(128) { ALPHABET.indexOf(it.toChar()) }

/** Decode base64 with padding. `java.util.Base64` is in Android from API 26, the app from 24. */
internal fun decodeBase64(text: String): ByteArray {
    require(text.length % 4 == 0) { "length ${text.length}" }
    val padding = text.takeLast(2).count { it == '=' }
    val bytes = ByteArray(text.length / 4 * 3 - padding)
    var held = 0
    var written = 0
    for (index in 0 until text.length - padding) {
        val value = VALUES.getOrElse(text[index].code) { -1 }
        require(value >= 0) { "character ${text[index]}" }
        held = (held shl 6) or value
        if (index % 4 != 0) bytes[written++] = (held shr (6 - 2 * (index % 4))).toByte()
    }
    return bytes
}

/** The bits of the last letter that stand for nothing; writers leave them 0. */
internal fun spareBits(text: String): Int {
    val padding = text.takeLast(2).count { it == '=' }
    if (padding == 0) return 0
    return VALUES[text[text.length - padding - 1].code] and ((1 shl (2 * padding)) - 1)
}

package dev.torchmobile.core

/** One input with the outputs the Python model gave for it. */
data class GoldenCase(
    val name: String,
    val inputs: List<TensorValue>,
    val expected: List<TensorValue>,
)

/** `extra/golden.json`. */
data class Golden(
    val tolerance: Tolerance,
    val cases: List<GoldenCase>,
)

/** Parse `extra/golden.json` of [file]; throw [DemoException] that names the field and the cure. */
fun parseGolden(
    text: String,
    file: String,
): Golden =
    readRecord(text, file, "extra/$GOLDEN_KEY") { root ->
        val cases =
            root.field("cases").list().map { case ->
                GoldenCase(
                    name = case.field("name").string(),
                    inputs = case.field("inputs").list().map(::tensor),
                    expected = case.field("expected").list().map(::tensor),
                )
            }
        if (cases.isEmpty()) root.field("cases").wrong("a list of at least one")
        Golden(tolerance(root.field("tolerance")), cases)
    }

internal fun tensor(node: JsonNode): TensorValue {
    val dtype = Dtype.of(node.field("dtype").string()) ?: node.field("dtype").wrong("a known dtype")
    val shape = node.field("shape").list().map(JsonNode::long)
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

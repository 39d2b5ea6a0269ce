package dev.torchmobile.core

/**
 * Put the elements of a tensor of [shape] (batch, channels, then two or three dimensions of space), which lie
 * channels last in [bytes], into C order; an element takes [size] bytes.
 *
 * A tensor of PyTorch may lie either way, and its Java class gives the elements as they lie.
 */
fun fromChannelsLast(
    bytes: ByteArray,
    size: Int,
    shape: List<Long>,
): ByteArray {
    require(shape.size in 4..5) { "channels last is said of 4 and 5 dimensions, not of $shape" }
    val channels = shape[1].toInt()
    val places =
        shape
            .drop(2)
            .fold(1L, Long::times)
            .toInt()
    val ordered = ByteArray(bytes.size)
    var at = 0
    for (image in 0 until shape[0].toInt()) {
        for (channel in 0 until channels) {
            for (place in 0 until places) {
                val from = ((image * places + place) * channels + channel) * size
                for (byte in 0 until size) ordered[at++] = bytes[from + byte]
            }
        }
    }
    return ordered
}

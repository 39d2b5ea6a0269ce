package dev.torchmobile.core

/** uint8 RGB, [height] x [width] x 3, in C order: what an image artifact takes. */
class RgbImage(
    val height: Int,
    val width: Int,
    val bytes: ByteArray,
) {
    init {
        require(height > 0 && width > 0 && bytes.size == 3 * height * width) {
            "${bytes.size} bytes are not an RGB image of $width x $height"
        }
    }

    /** The tensor for `forward`; shares the bytes. */
    fun tensor() = TensorValue(Dtype.UINT8, listOf(height.toLong(), width.toLong(), 3L), bytes)

    /** The pixels as opaque `0xAARRGGBB`, for a bitmap to show. */
    fun argb(): IntArray =
        IntArray(height * width) { pixel ->
            val at = 3 * pixel
            OPAQUE or (byte(at) shl 16) or (byte(at + 1) shl 8) or byte(at + 2)
        }

    private fun byte(index: Int) = bytes[index].toInt() and 0xFF

    private companion object {
        const val OPAQUE = 0xFF shl 24
    }
}

/**
 * Build an image of [width] x [height] row by row: [readRow] fills `0xAARRGGBB` pixels of one row.
 *
 * Alpha is dropped, not blended, as Pillow's `convert("RGB")` does. One row is held besides the
 * result.
 */
fun rgbImage(
    width: Int,
    height: Int,
    readRow: (row: IntArray, y: Int) -> Unit,
): RgbImage {
    val bytes = ByteArray(3 * height * width)
    val row = IntArray(width)
    var at = 0
    for (y in 0 until height) {
        readRow(row, y)
        for (pixel in row) {
            bytes[at++] = (pixel shr 16).toByte()
            bytes[at++] = (pixel shr 8).toByte()
            bytes[at++] = pixel.toByte()
        }
    }
    return RgbImage(height, width, bytes)
}

/**
 * Turn a stored image upright by its EXIF [orientation] (1 to 8; others count as 1).
 *
 * Orientations 5 to 8 swap the sides. For each upright pixel the stored one is named, as in the
 * EXIF 2.32 specification, tag 0x0112.
 */
fun RgbImage.upright(orientation: Int): RgbImage {
    if (orientation !in 2..8) return this
    val swapped = orientation >= 5
    val newHeight = if (swapped) width else height
    val newWidth = if (swapped) height else width
    val turned = ByteArray(bytes.size)
    var at = 0
    for (y in 0 until newHeight) {
        for (x in 0 until newWidth) {
            val flippedX = newWidth - 1 - x
            val flippedY = newHeight - 1 - y
            val (fromY, fromX) =
                when (orientation) {
                    2 -> y to flippedX
                    3 -> flippedY to flippedX
                    4 -> flippedY to x
                    5 -> x to y
                    6 -> flippedX to y
                    7 -> flippedX to flippedY
                    else -> x to flippedY
                }
            val from = 3 * (fromY * width + fromX)
            turned[at++] = bytes[from]
            turned[at++] = bytes[from + 1]
            turned[at++] = bytes[from + 2]
        }
    }
    return RgbImage(newHeight, newWidth, turned)
}

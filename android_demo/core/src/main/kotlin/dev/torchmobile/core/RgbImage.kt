package dev.torchmobile.core

private const val OPAQUE = 0xFF

/** uint8 RGB, [height] x [width] x 3, in C order; [alpha] has a byte a pixel where a photo has it. */
class RgbImage(
    val height: Int,
    val width: Int,
    val bytes: ByteArray,
    val alpha: ByteArray? = null,
) {
    init {
        require(height > 0 && width > 0 && bytes.size == 3 * height * width) {
            "${bytes.size} bytes are not an RGB image of $width x $height"
        }
        require(alpha == null || alpha.size == height * width) { "alpha of another size than the image" }
    }

    /** The tensor for `forward`, height x width x channels of [color]; RGB shares the bytes. */
    fun tensor(color: PhotoColor = PhotoColor.RGB): TensorValue {
        val data =
            when (color) {
                PhotoColor.RGB -> bytes
                PhotoColor.L -> ByteArray(height * width, ::gray)
                PhotoColor.RGBA -> withAlpha()
            }
        return TensorValue(Dtype.UINT8, listOf(height.toLong(), width.toLong(), color.channels.toLong()), data)
    }

    /** The brightness of one pixel, as Pillow's `convert("L")` rounds it. */
    private fun gray(pixel: Int): Byte {
        val at = 3 * pixel
        return ((byte(at) * 19595 + byte(at + 1) * 38470 + byte(at + 2) * 7471 + 0x8000) shr 16).toByte()
    }

    private fun withAlpha(): ByteArray {
        val made = ByteArray(4 * height * width)
        for (pixel in 0 until height * width) {
            bytes.copyInto(made, 4 * pixel, 3 * pixel, 3 * pixel + 3)
            made[4 * pixel + 3] = alpha?.get(pixel) ?: OPAQUE.toByte()
        }
        return made
    }

    /** The pixels as opaque `0xAARRGGBB`, for a bitmap to show. */
    fun argb(): IntArray = IntArray(height * width, ::argb)

    /** One pixel, counted in C order, as opaque `0xAARRGGBB`. */
    fun argb(pixel: Int): Int {
        val at = 3 * pixel
        return (OPAQUE shl 24) or (byte(at) shl 16) or (byte(at + 1) shl 8) or byte(at + 2)
    }

    private fun byte(index: Int) = bytes[index].toInt() and 0xFF
}

/**
 * Build an image of [width] x [height] row by row: [readRow] fills `0xAARRGGBB` pixels of one row.
 *
 * Alpha is kept apart ([hasAlpha]) or dropped, not blended, as Pillow's `convert("RGB")` does. One row
 * is held besides the result.
 */
fun rgbImage(
    width: Int,
    height: Int,
    hasAlpha: Boolean = false,
    readRow: (row: IntArray, y: Int) -> Unit,
): RgbImage {
    val bytes = ByteArray(3 * height * width)
    val alpha = if (hasAlpha) ByteArray(height * width) else null
    val row = IntArray(width)
    var at = 0
    for (y in 0 until height) {
        readRow(row, y)
        for (pixel in row) {
            alpha?.set(at / 3, (pixel ushr 24).toByte())
            bytes[at++] = (pixel shr 16).toByte()
            bytes[at++] = (pixel shr 8).toByte()
            bytes[at++] = pixel.toByte()
        }
    }
    return RgbImage(height, width, bytes, alpha)
}

/**
 * Turn a stored image upright by its EXIF [orientation] (1 to 8; others count as 1).
 *
 * Orientations 5 to 8 swap the sides. For each upright pixel the stored one is found, as in the
 * EXIF 2.32 specification, tag 0x0112; nothing is allocated for a pixel.
 */
fun RgbImage.upright(orientation: Int): RgbImage {
    if (orientation !in 2..8) return this
    val swapped = orientation >= 5
    val newHeight = if (swapped) width else height
    val newWidth = if (swapped) height else width
    val turned = ByteArray(bytes.size)
    val turnedAlpha = alpha?.let { ByteArray(it.size) }
    val walk = Walk.of(orientation, width, height)
    val first = walk.y * width + walk.x
    val across = walk.acrossY * width + walk.acrossX
    val down = walk.downY * width + walk.downX
    var at = 0
    for (y in 0 until newHeight) {
        var pixel = first + y * down
        for (x in 0 until newWidth) {
            turnedAlpha?.set(at / 3, checkNotNull(alpha)[pixel])
            val from = 3 * pixel
            turned[at++] = bytes[from]
            turned[at++] = bytes[from + 1]
            turned[at++] = bytes[from + 2]
            pixel += across
        }
    }
    return RgbImage(newHeight, newWidth, turned, turnedAlpha)
}

/**
 * How the stored pixels are met when the upright ones are walked in C order: where the first one lies, and how
 * far it is to the next in its row and column.
 */
internal class Walk private constructor(
    val x: Int,
    val y: Int,
    val acrossX: Int,
    val acrossY: Int,
    val downX: Int,
    val downY: Int,
) {
    companion object {
        /** For an EXIF [orientation] (others than 2 to 8 count as 1) of a stored image of [width] x [height]. */
        fun of(
            orientation: Int,
            width: Int,
            height: Int,
        ): Walk {
            val right = width - 1
            val bottom = height - 1
            return when (orientation) {
                2 -> Walk(right, 0, -1, 0, 0, 1)
                3 -> Walk(right, bottom, -1, 0, 0, -1)
                4 -> Walk(0, bottom, 1, 0, 0, -1)
                5 -> Walk(0, 0, 0, 1, 1, 0)
                6 -> Walk(0, bottom, 0, -1, 1, 0)
                7 -> Walk(right, bottom, 0, -1, -1, 0)
                8 -> Walk(right, 0, 0, 1, -1, 0)
                else -> Walk(0, 0, 1, 0, 0, 1)
            }
        }
    }
}

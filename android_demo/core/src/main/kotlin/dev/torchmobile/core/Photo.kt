package dev.torchmobile.core

/**
 * A photo that can be decoded at several sizes, [width] x [height] pixels when it is upright.
 *
 * [decode] gives it upright, both sides divided by `sample`, a power of two, and may throw [VisionError]; the
 * model chooses the sample. `dev.torchmobile:runtime-photos` makes one of an Android `Uri` or `Bitmap`.
 */
class Photo(
    val width: Int,
    val height: Int,
    val decode: (sample: Int) -> RgbImage,
) {
    /** An image that is decoded already, such as a camera's frame. */
    constructor(image: RgbImage) : this(image.width, image.height, { image.shrunk(it) })
}

/** Average squares of [sample] x [sample] pixels into one, halves up; what is left at the edges is dropped. */
internal fun RgbImage.shrunk(sample: Int): RgbImage {
    if (sample <= 1 || sample > minOf(height, width)) return this
    val (rows, columns) = height / sample to width / sample
    val area = sample * sample

    fun averaged(
        row: Int,
        column: Int,
        level: (pixel: Int) -> Int,
    ): Byte {
        var sum = 0
        for (y in row * sample until (row + 1) * sample) {
            for (x in column * sample until (column + 1) * sample) sum += level(y * width + x)
        }
        return ((sum + area / 2) / area).toByte()
    }
    val colors =
        ByteArray(3 * rows * columns) { at ->
            averaged(at / 3 / columns, at / 3 % columns) { bytes[3 * it + at % 3].toInt() and 0xFF }
        }
    val opacity =
        alpha?.let { levels ->
            ByteArray(rows * columns) { at -> averaged(at / columns, at % columns) { levels[it].toInt() and 0xFF } }
        }
    return RgbImage(rows, columns, colors, opacity)
}

/** Throw where a photo of these sides is not for a model with these [bounds]. */
internal fun refuse(
    refusal: Refusal,
    width: Int,
    height: Int,
    bounds: ModelInput.Image,
): Nothing =
    throw VisionError(
        when (refusal) {
            Refusal.SMALL -> Failure.PhotoTooSmall(width, height, bounds.minSide)
            Refusal.LONG -> Failure.PhotoTooLong(width, height, bounds.maxAspect)
            Refusal.LARGE -> Failure.PhotoTooLarge(width, height, bounds.maxSide)
        },
    )

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
    val colors = ByteArray(3 * rows * columns)
    val opacity = alpha?.let { ByteArray(rows * columns) }
    for (at in 0 until rows * columns) {
        val first = at / columns * sample * width + at % columns * sample
        for (channel in 0 until 3) colors[3 * at + channel] = average(bytes, 3 * first + channel, 3, 3 * width, sample)
        opacity?.set(at, average(checkNotNull(alpha), first, 1, width, sample))
    }
    return RgbImage(rows, columns, colors, opacity)
}

/** The mean of [sample] x [sample] levels, the next in a row [across] bytes away and the next row [down]. */
private fun average(
    levels: ByteArray,
    first: Int,
    across: Int,
    down: Int,
    sample: Int,
): Byte {
    var sum = 0
    for (y in 0 until sample) {
        for (x in 0 until sample) sum += levels[first + y * down + x * across].toInt() and 0xFF
    }
    val area = sample * sample
    return ((sum + area / 2) / area).toByte()
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

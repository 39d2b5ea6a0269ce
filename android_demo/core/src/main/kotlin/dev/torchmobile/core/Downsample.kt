package dev.torchmobile.core

import kotlin.math.ceil
import kotlin.math.max
import kotlin.math.min

/** Why a photo cannot be taken: too small after decoding, too long for its width, or too large undecoded. */
enum class Refusal { SMALL, LONG, LARGE }

/** Decode both sides divided by [sample], a power of two (`inSampleSize`). */
data class DownsamplePlan(
    val sample: Int,
    val refusal: Refusal?,
)

/**
 * The most bytes of memory per decoded pixel while a photo is prepared and run. By step:
 *
 * - decoding: the bitmap (4) and its bytes (4), 8;
 * - taking the colors: the bytes (4) and colors with alpha (4), 8: the bitmap is gone;
 * - turning it upright: colors (4) and colors upright (4), 8;
 * - running: colors (4), those of RGBA in one tensor (4), the runtime's own copy (4), 12;
 * - drawing a map over it: colors (4) and the picture (4), 8.
 *
 * Files of 16 bits a channel are decoded to 8 bytes a pixel first. What is shown on a screen is besides:
 * no side of its bitmap is longer than 2048.
 */
const val BYTES_PER_PIXEL = 12

/**
 * The short side, in pixels, a photo should still have after decoding; null: all of it.
 *
 * Twice what the in-graph resize makes of it, so the resize still averages at least two pixels into
 * one, as it does on the full photo.
 */
fun wantedSide(preprocessing: Preprocessing?): Int? = preprocessing?.let { 2 * ceil(max(it.height, it.width) / it.cropPct).toInt() }

/**
 * Plan how much smaller a photo of [width] x [height] is decoded, before any pixel is.
 *
 * The largest power of two that leaves the short side at least [wantedSide]; more where the long
 * side would be above the model's bound. So the decoded short side is below 2 x [wantedSide], and
 * [maxPixels] bounds the memory.
 */
fun downsamplePlan(
    width: Int,
    height: Int,
    wantedSide: Int?,
    bounds: ModelInput.Image,
): DownsamplePlan {
    val short = min(width, height).toLong()
    val long = max(width, height).toLong()
    if (long > bounds.maxAspect * short) return DownsamplePlan(1, Refusal.LONG)
    val wanted = wantedSide?.toLong() ?: Long.MAX_VALUE
    var sample = 1L
    while (short / (2 * sample) >= wanted) sample *= 2
    while (ceilDiv(long, sample) > bounds.maxSide) sample *= 2
    val small = ceilDiv(short, sample) < bounds.minSide
    return DownsamplePlan(sample.toInt(), if (small) Refusal.SMALL else null)
}

/** Why pixels of [width] x [height] are not for a model with these [bounds]; null where they are. */
fun refusal(
    width: Long,
    height: Long,
    bounds: ModelInput.Image,
): Refusal? {
    val short = min(width, height)
    val long = max(width, height)
    return when {
        short < bounds.minSide -> Refusal.SMALL
        long > bounds.maxSide -> Refusal.LARGE
        long > bounds.maxAspect * short -> Refusal.LONG
        else -> null
    }
}

/** The most pixels a decoded photo can have: its short side times its long side at their bounds. */
fun maxPixels(
    wantedSide: Int?,
    bounds: ModelInput.Image,
): Long {
    val long = bounds.maxSide.toLong()
    val short = wantedSide?.let { min(2L * it, long) } ?: long
    return short * min(long, short * bounds.maxAspect)
}

private fun ceilDiv(
    a: Long,
    b: Long,
) = (a + b - 1) / b

package dev.torchmobile.core

import kotlin.math.sqrt

/** What a model makes of a photo. */
class VisionResult internal constructor(
    /** What came out, by the model's task. */
    val content: Content,
    /** Every output with its tensor, in the metadata's order. */
    val outputs: List<Output>,
    /** Rows of the outputs that do not show in [content]. */
    val others: List<OutputRow>,
    /** Wall-clock time of `forward`, preprocessing included where it is in the graph. */
    val milliseconds: Double,
    /** The image that went in; what is drawn lies on it. */
    val image: RgbImage,
    /** By how much smaller than the photo it was decoded. */
    val sample: Int,
) {
    /** Sides of the image that went in, in pixels. */
    val width: Int get() = image.width
    val height: Int get() = image.height

    /** The same with the embedding's cosine to that of [other]; any other content stays as it is. */
    fun comparedTo(other: VisionResult?): VisionResult {
        val mine = content as? Content.Embedding ?: return this
        val theirs = (other?.content as? Content.Embedding)?.values
        val compared = Content.Embedding(mine.values, theirs?.let { cosine(mine.values, it) })
        return VisionResult(compared, outputs, others, milliseconds, image, sample)
    }
}

/** What came out of a model, by its task. Pictures and places are on the image that went in. */
sealed interface Content {
    /** The best classes, best first. */
    data class Classes(
        val classes: List<ScoredClass>,
    ) : Content

    /** The classes drawn over the image, and which there are, the largest first. */
    class ClassMap(
        val picture: ArgbImage,
        val legend: List<LegendEntry>,
    ) : Content

    /** Depths in colors, from the smallest (blue) to the largest (red), in [unit]. */
    class Depth(
        val picture: ArgbImage,
        val minimum: Double,
        val maximum: Double,
        val unit: String?,
    ) : Content {
        val minimumText: String get() = withUnit(minimum, unit)
        val maximumText: String get() = withUnit(maximum, unit)
    }

    /** What was found, best first; [range] is that of a threshold for the scores, null without scores. */
    class Boxes(
        val boxes: List<Detection>,
        val range: ClosedFloatingPointRange<Double>?,
    ) : Content {
        /** Those whose score is at least [threshold], and those without one. */
        fun above(threshold: Double): List<Detection> = boxes.filter { it.score == null || it.score >= threshold }

        /** The threshold that was [chosen], within this photo's range; its middle where none was. */
        fun threshold(chosen: Double?): Double = range?.let { (chosen ?: ((it.start + it.endInclusive) / 2)).coerceIn(it) } ?: 0.0
    }

    /** Key points, in the output's order. */
    class KeyPoints(
        val points: List<KeyPoint>,
    ) : Content

    /** A picture of the network's own; which of its numbers, in [unit], are [black] and [white]. */
    class Picture(
        val picture: ArgbImage,
        val black: Double,
        val white: Double,
        val unit: String?,
    ) : Content {
        val blackText: String get() = withUnit(black, unit)
        val whiteText: String get() = withUnit(white, unit)
    }

    /** A vector, and its [cosine] to that of another photo: [VisionResult.comparedTo]. */
    class Embedding(
        val values: DoubleArray,
        val cosine: Double? = null,
    ) : Content {
        /** The cosine with three decimals. */
        val text: String? get() = cosine?.let { fixed(it, 3) }
    }

    /** Single numbers. */
    data class Numbers(
        val numbers: List<Quantity>,
    ) : Content

    /** Nothing but the outputs themselves. */
    data class Tensors(
        val rows: List<OutputRow>,
    ) : Content
}

/** One class with its score. */
data class ScoredClass(
    val index: Int,
    val label: String,
    val score: Double,
    private val isProbability: Boolean,
) {
    /** Length of its bar, 0 to 1; null where the score is no probability. */
    val bar: Double? get() = score.takeIf { isProbability && it.isFinite() }?.coerceIn(0.0, 1.0)

    /** The score in words. */
    val text: String get() = if (isProbability) percent(score) else decimal(score)
}

/** One number with its name, and its unit where one is known. */
data class Quantity(
    val name: String,
    val value: Double,
    val unit: String?,
) {
    /** The number and its unit. */
    val text: String get() = withUnit(value, unit)
}

/** An output in figures: what can be said of any tensor. */
data class OutputRow(
    val name: String,
    val dtype: Dtype,
    val sides: List<Long>,
    val words: List<String>,
    val unit: String?,
    val figures: Figures,
) {
    /** As `1 × 21 × 4`. */
    val shape: String get() = if (sides.isEmpty()) "a scalar" else sides.joinToString(" × ")

    /** As `N × C × W`; empty for a scalar. */
    val axes: String get() = words.joinToString(" × ")

    /** Smallest, mean and largest value. */
    val range: String
        get() {
            val (minimum, maximum, mean) = figures
            if (minimum == null || maximum == null || mean == null) return "no finite value"
            val numbers = "min ${decimal(minimum)}, mean ${decimal(mean)}, max ${decimal(maximum)}"
            return if (unit == null) numbers else "$numbers $unit"
        }
}

/** The cosine of the angle between two vectors, -1 to 1; null where one has no direction or another length. */
fun cosine(
    one: DoubleArray,
    other: DoubleArray,
): Double? {
    if (one.size != other.size) return null
    val lengths = sqrt(one.sumOf { it * it } * other.sumOf { it * it })
    return (one.indices.sumOf { one[it] * other[it] } / lengths).takeIf { it.isFinite() }?.coerceIn(-1.0, 1.0)
}

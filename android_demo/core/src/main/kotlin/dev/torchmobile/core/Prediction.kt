package dev.torchmobile.core

import kotlin.math.sqrt

/** One class with its score. */
data class Ranked(
    val label: String,
    val score: Double,
)

/** One number with its name, and its unit where one is known. */
data class Measured(
    val name: String,
    val value: Double,
    val unit: String?,
)

/** An output in figures: what can be said of any tensor. */
data class TableRow(
    val name: String,
    val dtype: Dtype,
    val shape: List<Long>,
    val axes: List<String>,
    val figures: Figures,
)

/** What outputs are shown as. */
sealed interface Shown {
    /** The best classes, best first. [areShares]: scores are 0 to 1, so bars make sense. */
    data class Classes(
        val top: List<Ranked>,
        val areShares: Boolean,
    ) : Shown

    /** The classes drawn over the photo, and which there are, the largest first. */
    class Segments(
        val picture: Picture,
        val legend: List<LegendEntry>,
    ) : Shown

    /** Depths in colors, from the smallest to the largest. */
    class Depth(
        val picture: Picture,
        val range: Figures,
        val unit: String?,
    ) : Shown

    /** What was found on [image], best first. */
    class Found(
        val image: RgbImage,
        val detections: List<Detection>,
    ) : Shown

    /** Key points of [image], in the output's order. */
    class Points(
        val image: RgbImage,
        val points: List<KeyPoint>,
    ) : Shown

    /** A picture of the network's own, to stand beside the photo. */
    class Made(
        val made: MadePicture,
        val unit: String?,
    ) : Shown

    /** A vector, and its cosine to that of the photo before; null for the first. */
    class Embedding(
        val vector: DoubleArray,
        val cosine: Double?,
    ) : Shown

    data class Numbers(
        val lines: List<Measured>,
    ) : Shown

    /** Nothing but the outputs themselves. */
    data object Outputs : Shown
}

/** What a model makes of a photo: [shown], and figures of the outputs that do not show in it. */
class Prediction(
    val shown: Shown,
    val table: List<TableRow>,
    val ms: Double,
)

private const val MOST_CLASSES = 5
private const val MOST_NUMBERS = 16

/**
 * Run [artifact] on [image] and say what it makes of it; throw [DemoException].
 *
 * [previous] is the embedding of the photo before.
 */
fun predict(
    artifact: Artifact,
    image: RgbImage,
    previous: DoubleArray? = null,
    clock: Clock = System::nanoTime,
): Prediction {
    val metadata = artifact.metadata
    val input = metadata.input as? ModelInput.Image ?: throw DemoException(Failure.NotForPhotos(metadata.name))
    val timed = artifact.run(listOf(image.tensor(input.color)), clock)
    if (timed.outputs.size != metadata.outputs.size) {
        val what = "${timed.outputs.size} outputs came, and its metadata states ${metadata.outputs.size}"
        throw DemoException(Failure.RunFailed(metadata.name, what))
    }
    val outputs = metadata.outputs.zip(timed.outputs, ::Output)
    val (shown, used) = shown(metadata, outputs, image, input.geometry.place(image.height, image.width), previous)
    return Prediction(shown, outputs.filter { it !in used }.map(::tableRow), timed.ms)
}

/** What [outputs] are shown as, and which of them that is. */
private fun shown(
    metadata: Metadata,
    outputs: List<Output>,
    image: RgbImage,
    placement: Placement,
    previous: DoubleArray?,
): Pair<Shown, Set<Output>> {
    for (output in outputs) {
        val shown =
            when (metadata.task) {
                Task.CLASSIFICATION, Task.MULTI_LABEL -> classes(metadata, output)
                Task.SEGMENTATION -> classMap(output, metadata.labels)?.let { segments(image, it, placement) }
                Task.DEPTH -> depth(image, output, placement)
                Task.EMBEDDING -> embedding(output, previous)
                Task.KEYPOINTS -> keyPoints(output, metadata.labels, placement)?.let { Shown.Points(image, it) }
                Task.IMAGE -> madePicture(output)?.let { Shown.Made(it, output.spec.unit) }
                else -> null
            }
        if (shown != null) return shown to setOf(output)
    }
    val whole =
        when (metadata.task) {
            Task.DETECTION -> detections(outputs, metadata.labels, placement)?.let { Shown.Found(image, it) }
            Task.REGRESSION -> numbers(outputs, metadata.labels)
            else -> null
        }
    return if (whole == null) Shown.Outputs to emptySet() else whole to outputs.toSet()
}

/** Whether [output] of a classifier is a row of classes: of a batch of one, with nothing beside. */
fun isRowOfClasses(
    task: Task?,
    spec: OutputTensor,
    shape: List<Long> = spec.shape,
): Boolean {
    val axis = spec.classAxis ?: return false
    val ranks = task == Task.CLASSIFICATION || task == Task.MULTI_LABEL
    return ranks && shape.size == spec.axes.size && shape.filterIndexed { index, _ -> index != axis }.all { it == 1L }
}

private fun classes(
    metadata: Metadata,
    output: Output,
): Shown? {
    if (!isRowOfClasses(metadata.task, output.spec, output.value.shape)) return null
    val scores = output.value.doubles()
    val top = topK(scores, MOST_CLASSES).map { Ranked(metadata.label(it, scores.size), scores[it]) }
    return Shown.Classes(top, output.spec.holds == Holds.PROBABILITIES)
}

private fun segments(
    image: RgbImage,
    map: ClassMap,
    placement: Placement,
): Shown {
    val (picture, legend) = drawClasses(image, map, placement)
    return Shown.Segments(picture, legend)
}

private fun depth(
    image: RgbImage,
    output: Output,
    placement: Placement,
): Shown? {
    if (output.spec.holds != Holds.DEPTH) return null
    val picture = drawDepth(image, output, placement) ?: return null
    return Shown.Depth(picture, figures(output.value), output.spec.unit)
}

private fun embedding(
    output: Output,
    previous: DoubleArray?,
): Shown? {
    if (output.spec.holds != Holds.EMBEDDING) return null
    val vector = output.value.doubles()
    return Shown.Embedding(vector, previous?.let { cosine(vector, it) })
}

/** The cosine of the angle between two vectors, -1 to 1; null where one has no direction or another length. */
fun cosine(
    one: DoubleArray,
    other: DoubleArray,
): Double? {
    if (one.size != other.size) return null
    val lengths = sqrt(one.sumOf { it * it }) * sqrt(other.sumOf { it * it })
    return (one.indices.sumOf { one[it] * other[it] } / lengths).takeIf { it.isFinite() }
}

private fun numbers(
    outputs: List<Output>,
    labels: List<String>?,
): Shown? {
    if (outputs.sumOf { it.value.count } > MOST_NUMBERS) return null
    return Shown.Numbers(
        outputs.flatMap { output ->
            val values = output.value.doubles()
            values.mapIndexed { index, value ->
                val named = labels?.takeIf { outputs.size == 1 && it.size == values.size }?.get(index)
                val name = named ?: if (values.size == 1) output.spec.name else "${output.spec.name} ${index + 1}"
                Measured(name, value, output.spec.unit)
            }
        },
    )
}

private fun tableRow(output: Output) =
    TableRow(output.spec.name, output.value.dtype, output.value.shape, output.spec.axes, figures(output.value))

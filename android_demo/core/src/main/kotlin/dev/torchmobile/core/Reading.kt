package dev.torchmobile.core

private const val MOST_CLASSES = 5
private const val MOST_NUMBERS = 16

/** What [outputs] of an [image] say by the task, and rows of those outputs that it leaves out. */
internal fun read(
    metadata: Metadata,
    outputs: List<Output>,
    image: RgbImage,
    placement: Placement,
): Pair<Content, List<OutputRow>> {
    for (output in outputs) {
        val content =
            when (metadata.task) {
                Task.CLASSIFICATION, Task.MULTI_LABEL -> classes(metadata, output)
                Task.SEGMENTATION -> classMap(output, metadata.labels)?.let { drawnMap(image, it, placement) }
                Task.DEPTH -> depth(image, output, placement)
                Task.EMBEDDING -> if (output.spec.holds == Holds.EMBEDDING) Content.Embedding(output.value.doubles()) else null
                Task.KEYPOINTS -> keyPoints(output, metadata.labels, placement)?.let { Content.KeyPoints(it) }
                Task.IMAGE -> madePicture(output)
                else -> null
            }
        if (content != null) return content to outputs.filter { it !== output }.map(::row)
    }
    val whole =
        when (metadata.task) {
            Task.DETECTION -> detections(outputs, metadata.labels, placement)
            Task.REGRESSION -> numbers(outputs, metadata.labels)
            else -> null
        }
    return (whole ?: Content.Tensors(outputs.map(::row))) to emptyList()
}

/** Whether [shape] of a classifier's output is a row of classes: of a batch of one, with nothing beside. */
internal fun isRowOfClasses(
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
): Content? {
    if (!isRowOfClasses(metadata.task, output.spec, output.value.shape)) return null
    val scores = output.value.doubles()
    val isProbability = output.spec.holds == Holds.PROBABILITIES
    return Content.Classes(
        topK(scores, MOST_CLASSES).map { ScoredClass(it, metadata.label(it, scores.size), scores[it], isProbability) },
    )
}

private fun drawnMap(
    image: RgbImage,
    map: ClassCells,
    placement: Placement,
): Content {
    val (picture, legend) = drawClasses(image, map, placement)
    return Content.ClassMap(picture, legend)
}

private fun depth(
    image: RgbImage,
    output: Output,
    placement: Placement,
): Content? {
    if (output.spec.holds != Holds.DEPTH) return null
    val picture = drawDepth(image, output, placement) ?: return null
    val (minimum, maximum) = figures(output.value)
    if (minimum == null || maximum == null) return null
    return Content.Depth(picture, minimum, maximum, output.spec.unit)
}

private fun numbers(
    outputs: List<Output>,
    labels: List<String>?,
): Content? {
    if (outputs.sumOf { it.value.count } !in 1..MOST_NUMBERS) return null
    return Content.Numbers(
        outputs.flatMap { output ->
            val values = output.value.doubles()
            values.mapIndexed { index, value ->
                val named = labels?.takeIf { outputs.size == 1 && it.size == values.size }?.get(index)
                val name = named ?: if (values.size == 1) output.spec.name else "${output.spec.name} ${index + 1}"
                Quantity(name, value, output.spec.unit)
            }
        },
    )
}

private fun row(output: Output) =
    OutputRow(output.spec.name, output.value.dtype, output.value.shape, output.spec.axes, output.spec.unit, figures(output.value))

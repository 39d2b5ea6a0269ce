package dev.torchmobile.core

/** What a model is for, by the names that Hugging Face's pipelines use. */
enum class Task(
    val label: String,
) {
    CLASSIFICATION("image-classification"),
    MULTI_LABEL("multi-label-classification"),
    REGRESSION("image-regression"),
    EMBEDDING("image-feature-extraction"),
    SEGMENTATION("image-segmentation"),
    DEPTH("depth-estimation"),
    IMAGE("image-to-image"),
    KEYPOINTS("keypoint-detection"),
    DETECTION("object-detection"),
}

/** What the numbers of an output are. */
enum class Holds {
    SCORES,
    LOGITS,
    PROBABILITIES,
    CLASS_MAP,
    CLASS_INDEX,
    MASK,
    EMBEDDING,
    DEPTH,
    IMAGE,
    KEYPOINTS,
    BOXES,
    VALUES,
    ;

    /** Whether it ranks classes against each other. */
    val ranks: Boolean get() = this == SCORES || this == LOGITS || this == PROBABILITIES
}

/** Which picture pixels or coordinates lie on: the photo as given, or what the network sees of it. */
enum class Space { PHOTO, NETWORK }

private val CLASS_AXES = setOf("classes", "C")

/** One tensor that `forward` returns, as the metadata describes it; [axes] has a word a dimension. */
data class OutputTensor(
    val name: String,
    val shape: List<Long>,
    val dtype: Dtype,
    val axes: List<String>,
    val holds: Holds,
    val unit: String? = null,
    val space: Space? = null,
    val varies: Boolean = false,
) {
    /** The axis that classes lie along; null where there is none. */
    val classAxis: Int? get() = if (holds.ranks) axes.indexOfFirst { it in CLASS_AXES }.takeIf { it >= 0 } else null
}

/** An output under its name: what the metadata says of it, and what came. */
class Output(
    val spec: OutputTensor,
    val value: TensorValue,
)

/** Read `output.tensors` of the metadata, in the order they are returned in. */
internal fun outputTensors(output: JsonNode): List<OutputTensor> {
    val node = output.field("tensors")
    val tensors = node.list().map(::outputTensor)
    if (tensors.isEmpty()) node.wrong("a list of at least one")
    if (tensors.distinctBy { it.name }.size != tensors.size) node.fault("two outputs of one name")
    val returned = output.field("returned")
    if (returned.oneOf(listOf("tensor", "list")) { it } == "tensor" && tensors.size != 1) {
        returned.fault("one tensor, and ${tensors.size} described")
    }
    return tensors
}

internal fun outputTensor(node: JsonNode): OutputTensor {
    val shape = node.shape()
    val axes = node.field("axes").list().map(JsonNode::string)
    if (axes.size != shape.size) node.field("axes").fault("${axes.size} axes for a shape of ${shape.size}")
    return OutputTensor(
        name = node.field("name").string(),
        shape = shape,
        dtype = node.dtype(),
        axes = axes,
        holds = node.optional("holds")?.oneOf(Holds.entries) { it.name.lowercase() } ?: Holds.VALUES,
        unit = node.optional("unit")?.string(),
        space = node.optional("space")?.oneOf(Space.entries) { it.name.lowercase() },
        varies = node.optional("varies")?.boolean() ?: false,
    )
}

/** Read the labels: where outputs have a class axis, one of them has as many places. */
internal fun labels(
    output: JsonNode,
    tensors: List<OutputTensor>,
): List<String>? {
    val node = output.optional("labels") ?: return null
    val labels = node.list().map(JsonNode::string)
    val places = tensors.mapNotNull { tensor -> tensor.classAxis?.let { tensor.shape[it] } }
    if (places.isNotEmpty() && labels.size.toLong() !in places) {
        node.fault("${labels.size} labels for ${places.distinct().joinToString(" or ")} classes")
    }
    return labels
}

package dev.torchmobile.core

/** The major schema version this app reads. */
const val SCHEMA_MAJOR = 2

/** Names of the two records, as `_extra_files` keys. */
const val METADATA_KEY = "metadata.json"
const val GOLDEN_KEY = "golden.json"

/** The numbers of a pixel, by Pillow's name of the mode. */
enum class PhotoColor(
    val channels: Int,
) {
    L(1),
    RGB(3),
    RGBA(4),
}

/** A tensor that `forward` takes. */
data class InputTensor(
    val name: String,
    val shape: List<Long>,
    val dtype: Dtype,
)

/** What `forward` takes. */
sealed interface ModelInput {
    /** One photo: uint8, height x width x channels of [color], sides in pixels within the bounds. */
    data class Image(
        val minSide: Int,
        val maxSide: Int,
        val maxAspect: Int,
        val color: PhotoColor,
        val geometry: Geometry,
    ) : ModelInput

    /** The bare network. */
    data class Tensors(
        val tensors: List<InputTensor>,
    ) : ModelInput
}

/** The part of timm's transform an app may want: the network's input and how much is cropped. */
data class Preprocessing(
    val height: Int,
    val width: Int,
    val cropPct: Double,
    val inGraph: Boolean,
)

/**
 * `|actual - expected| <= atol + rtol * |expected|`; [basis] says where the numbers come from.
 *
 * [outputs] has an `atol` for each output, or nothing where [atol] is that of all. [flips] is the share of
 * an output of whole numbers that may differ: pixels whose two best classes are all but equal.
 */
data class Tolerance(
    val atol: Double,
    val rtol: Double,
    val basis: String,
    val step: Double? = null,
    val outputs: List<Double> = emptyList(),
    val flips: Double = 0.0,
) {
    fun atolOf(index: Int): Double = if (outputs.isEmpty()) atol else outputs[index % outputs.size]
}

/** What the app uses of `extra/metadata.json`. */
data class Metadata(
    val name: String,
    val task: Task?,
    val input: ModelInput,
    val preprocessing: Preprocessing?,
    val outputs: List<OutputTensor>,
    val labels: List<String>?,
    val quantization: String,
    val int8Layers: Int,
    val exporter: String,
    val torch: String,
    val model: String,
    val license: String?,
    val tolerance: Tolerance,
    val detection: DetectionLimits? = null,
    val format: Format = Format.LITE,
    val program: Program? = null,
) {
    /** The label of class [index] of [classes]; its number where there are no labels, or for others. */
    fun label(
        index: Int,
        classes: Int,
    ): String = labels?.takeIf { it.size == classes }?.getOrNull(index) ?: "class $index"
}

/** Parse `extra/metadata.json` of [file]; throw [VisionError] that names the field and the cure. */
fun parseMetadata(
    text: String,
    file: String,
): Metadata = readRecord(text, file, METADATA_KEY, ::metadata)

private fun metadata(root: JsonNode): Metadata {
    val output = root.field("output")
    val tensors = outputTensors(output)
    val quantization = root.field("quantization")
    val producedBy = root.field("produced_by")
    val provenance = root.field("provenance")
    val program = root.optional("program")?.let(::program)
    val format = root.optional("format")?.oneOf(Format.entries) { it.label } ?: Format.LITE
    if ((format == Format.PROGRAM) != (program != null)) throw FieldException("field `program`: stated for a .pte, and for no other file")
    return Metadata(
        name = root.field("name").string(),
        task = root.optional("task")?.let { node -> node.oneOf(Task.entries) { it.label } },
        input = modelInput(root.field("input")),
        preprocessing = root.optional("preprocessing")?.let(::preprocessing),
        outputs = tensors,
        labels = labels(output, tensors),
        quantization = quantization.field("method").string(),
        int8Layers = quantization.optional("int8_layers")?.int() ?: 0,
        exporter = producedBy.field("exporter").string(),
        torch = producedBy.field("torch").string(),
        model = provenance.field("model").string(),
        license = provenance.optional("license")?.string(),
        tolerance = tolerance(root.field("tolerance")),
        detection = detection(output),
        format = format,
        program = program,
    )
}

private const val DEFAULT_MAX_ASPECT = 32
private const val MAX_CROP_PCT = 1000.0

private fun modelInput(node: JsonNode): ModelInput =
    when (node.field("kind").string()) {
        "image" -> {
            ModelInput.Image(
                minSide = node.field("min_side").side(),
                maxSide = node.field("max_side").side(),
                maxAspect = node.optional("max_aspect")?.side() ?: DEFAULT_MAX_ASPECT,
                color = node.optional("color")?.oneOf(PhotoColor.entries) { it.name } ?: PhotoColor.RGB,
                geometry = geometry(node.field("geometry")),
            )
        }

        "tensor" -> {
            ModelInput.Tensors(
                node.field("tensors").list().map { InputTensor(it.field("name").string(), it.shape(), it.dtype()) },
            )
        }

        else -> {
            node.field("kind").wrong("`image` or `tensor`")
        }
    }

private fun preprocessing(node: JsonNode): Preprocessing {
    val size = node.field("input_size").list().map(JsonNode::int)
    if (size.size != 3 || size.any { it < 1 }) node.field("input_size").wrong("three sizes above zero")
    val cropPct = node.field("crop_pct").double()
    if (!(cropPct > 0 && cropPct <= MAX_CROP_PCT)) node.field("crop_pct").wrong("above 0 and at most $MAX_CROP_PCT")
    return Preprocessing(size[1], size[2], cropPct, node.field("in_graph").boolean())
}

internal fun tolerance(node: JsonNode) =
    Tolerance(
        atol = node.field("atol").double(),
        rtol = node.field("rtol").double(),
        basis = node.field("basis").string(),
        step = node.optional("step")?.double(),
        flips = node.optional("flips")?.double() ?: 0.0,
        outputs =
            node
                .optional("outputs")
                ?.list()
                ?.map(JsonNode::double)
                .orEmpty(),
    )

/** Parse [text], judge its schema version first, then [read] it. */
internal fun <T> readRecord(
    text: String,
    file: String,
    record: String,
    read: (JsonNode) -> T,
): T {
    if (text.isEmpty()) throw VisionError(Failure.MissingRecord(file, record))
    try {
        val root = JsonNode.parse(text)
        val version = root.field("schema_version").string()
        val major = version.substringBefore('.').toIntOrNull() ?: throw FieldException("schema version `$version`")
        if (major > SCHEMA_MAJOR) throw VisionError(Failure.SchemaNewer(file, version))
        if (major < SCHEMA_MAJOR) throw VisionError(Failure.SchemaOlder(file, version))
        return read(root)
    } catch (error: FieldException) {
        throw VisionError(Failure.Damaged(file, "$record: ${error.message}"), error)
    }
}

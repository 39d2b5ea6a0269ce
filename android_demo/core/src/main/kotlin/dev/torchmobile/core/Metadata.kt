package dev.torchmobile.core

/** The major schema version this app reads. */
const val SCHEMA_MAJOR = 1

/** Names of the two records, as `_extra_files` keys. */
const val METADATA_KEY = "metadata.json"
const val GOLDEN_KEY = "golden.json"

/** What `forward` takes. */
sealed interface ModelInput {
    /** One photo: uint8 RGB, height x width x 3, sides in pixels within the bounds. */
    data class Image(
        val minSide: Int,
        val maxSide: Int,
        val maxAspect: Int,
    ) : ModelInput

    /** The bare network. */
    data class Tensors(
        val shapes: List<List<Long>>,
    ) : ModelInput
}

/** The part of timm's transform an app may want: the network's input and how much is cropped. */
data class Preprocessing(
    val height: Int,
    val width: Int,
    val cropPct: Double,
    val inGraph: Boolean,
)

/** `|actual - expected| <= atol + rtol * |expected|`; [basis] says where the numbers come from. */
data class Tolerance(
    val atol: Double,
    val rtol: Double,
    val basis: String,
    val step: Double?,
)

/** What the app uses of `extra/metadata.json`. */
data class Metadata(
    val name: String,
    val input: ModelInput,
    val preprocessing: Preprocessing?,
    val activation: String,
    val labels: List<String>?,
    val quantization: String,
    val int8Layers: Int,
    val exporter: String,
    val torch: String,
    val model: String,
    val license: String?,
    val tolerance: Tolerance,
) {
    /** The label of class [index]; its number where the model has no labels. */
    fun label(index: Int): String = labels?.getOrNull(index) ?: "class $index"
}

/** Parse `extra/metadata.json` of [file]; throw [DemoException] that names the field and the cure. */
fun parseMetadata(
    text: String,
    file: String,
): Metadata = readRecord(text, file, "extra/$METADATA_KEY", ::metadata)

private fun metadata(root: JsonNode): Metadata {
    val output = root.field("output")
    val shapes = output.field("tensors").list().map { it.field("shape").list().map(JsonNode::long) }
    val labels = output.optional("labels")?.list()?.map(JsonNode::string)
    val classes = shapes.firstOrNull()?.lastOrNull()
    if (labels != null && classes != null && classes != labels.size.toLong()) {
        throw FieldException("field `output.labels`: ${labels.size} labels for $classes classes")
    }
    val quantization = root.field("quantization")
    val producedBy = root.field("produced_by")
    val provenance = root.field("provenance")
    return Metadata(
        name = root.field("name").string(),
        input = modelInput(root.field("input")),
        preprocessing = root.optional("preprocessing")?.let(::preprocessing),
        activation = output.field("activation").string(),
        labels = labels,
        quantization = quantization.field("method").string(),
        int8Layers = quantization.optional("int8_layers")?.int() ?: 0,
        exporter = producedBy.field("exporter").string(),
        torch = producedBy.field("torch").string(),
        model = provenance.field("model").string(),
        license = provenance.optional("license")?.string(),
        tolerance = tolerance(root.field("tolerance")),
    )
}

private const val DEFAULT_MAX_ASPECT = 32

private fun modelInput(node: JsonNode): ModelInput =
    when (node.field("kind").string()) {
        "image" -> {
            fun side(name: String) = node.field(name).let { it.int().also { n -> if (n < 1) it.wrong("above zero") } }
            ModelInput.Image(
                minSide = side("min_side"),
                maxSide = side("max_side"),
                // Came later than the rest of schema 1.0; the contract's default.
                maxAspect = if (node.optional("max_aspect") == null) DEFAULT_MAX_ASPECT else side("max_aspect"),
            )
        }

        "tensor" -> {
            ModelInput.Tensors(
                node.field("tensors").list().map { it.field("shape").list().map(JsonNode::long) },
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
    if (!(cropPct > 0 && cropPct <= 1)) node.field("crop_pct").wrong("above 0 and at most 1")
    return Preprocessing(size[1], size[2], cropPct, node.field("in_graph").boolean())
}

internal fun tolerance(node: JsonNode) =
    Tolerance(
        atol = node.field("atol").double(),
        rtol = node.field("rtol").double(),
        basis = node.field("basis").string(),
        step = node.optional("step")?.double(),
    )

/** Parse [text], judge its schema version first, then [read] it. */
internal fun <T> readRecord(
    text: String,
    file: String,
    record: String,
    read: (JsonNode) -> T,
): T =
    try {
        val root = JsonNode.parse(text)
        val version = root.field("schema_version").string()
        val major = version.substringBefore('.').toIntOrNull() ?: throw FieldException("schema version `$version`")
        if (major != SCHEMA_MAJOR) throw DemoException(Failure.WrongSchema(file, version, major > SCHEMA_MAJOR))
        read(root)
    } catch (error: FieldException) {
        val what = if (text.isEmpty()) "$record is missing" else "$record: ${error.message}"
        throw DemoException(Failure.DamagedModel(file, what), error)
    }

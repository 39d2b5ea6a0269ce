package dev.torchmobile.demo

import com.google.gson.JsonArray
import com.google.gson.JsonObject
import com.google.gson.JsonParser
import dev.torchmobile.core.Dtype
import dev.torchmobile.core.LoadedModel
import dev.torchmobile.core.TensorValue
import java.util.Base64

private const val SIDE = 32

/** A stand-in for a model of each task: fixtures of the contract, and outputs made by hand. */
internal val TASK_MODELS: Map<String, LoadedModel> by lazy {
    mapOf(
        "segmentation" to Stand(segmentation(), { listOf(discs(), row(0.1f, 0.7f, 0.2f)) }),
        "detector" to Stand(imageModel("metadata_detector"), { boxes() }),
        "depth" to Stand(described("depth-estimation", "depth", "1, $SIDE, $SIDE", "C, H, W", "depth", "meters"), { listOf(slope()) }),
        "embedding" to Stand(described("image-feature-extraction", "pooled", "3", "features", "embedding"), { listOf(means(it[0])) }),
        "points" to Stand(described("keypoint-detection", "points", "3, 3", "points, 3", "keypoints"), { listOf(points()) }),
        "image" to Stand(described("image-to-image", "better", "3, $SIDE, $SIDE", "C, H, W", "image"), { listOf(wedge()) }),
        "regression" to Stand(described("image-regression", "age", "1", "N", "values", "years"), { listOf(row(41.5f)) }),
        "table" to Stand(described(null, "output_0", "1, $SIDE, $SIDE", "C, H, W", "values"), { listOf(slope()) }),
        "tensor" to
            Stand(JsonParser.parseString(fixture("metadata_tensor")).asJsonObject, { listOf(tensor(listOf(1, 5), 0.5f, 1f, -1f, 2f, 0f)) }),
    )
}

private class Stand(
    metadata: JsonObject,
    private val forward: (List<TensorValue>) -> List<TensorValue>,
) : LoadedModel {
    override val metadataJson = "$metadata"

    // What it gives for its own inputs, so that its badge passes.
    override val goldenJson: String

    init {
        val inputs =
            if (metadata["input"].asJsonObject["kind"].asString == "image") {
                listOf(TensorValue(Dtype.UINT8, listOf(4, 6, 3), ByteArray(72) { (3 * it).toByte() }))
            } else {
                listOf(tensor(listOf(1, 3, 4, 4), *FloatArray(48)), TensorValue(Dtype.INT64, listOf(1, 2), ByteArray(16)))
            }
        val case = JsonObject()
        case.addProperty("name", "drawn")
        case.add("inputs", encoded(inputs))
        case.add("expected", encoded(forward(inputs)))
        val golden = JsonObject()
        golden.addProperty("schema_version", "2.0")
        golden.add("tolerance", metadata["tolerance"])
        golden.add("cases", JsonArray().apply { add(case) })
        goldenJson = "$golden"
    }

    override fun run(inputs: List<TensorValue>) = forward(inputs)

    override fun close() = Unit
}

private fun encoded(tensors: List<TensorValue>) =
    JsonArray().apply {
        for (tensor in tensors) {
            val one = JsonObject()
            one.add("shape", JsonArray().apply { tensor.shape.forEach { add(it) } })
            one.addProperty("dtype", tensor.dtype.label)
            one.addProperty("data", Base64.getEncoder().encodeToString(tensor.bytes))
            add(one)
        }
    }

/** A record of the contract, for a network of 32 x 32 that sees the middle of a photo. */
private fun imageModel(name: String): JsonObject {
    val metadata = JsonParser.parseString(fixture(name)).asJsonObject
    metadata["preprocessing"].asJsonObject.add("input_size", JsonParser.parseString("[3, $SIDE, $SIDE]"))
    val geometry = metadata["input"].asJsonObject["geometry"].asJsonObject
    for (side in listOf("resize_height", "resize_width", "network_height", "network_width")) geometry.addProperty(side, SIDE)
    return metadata
}

private fun segmentation(): JsonObject {
    val metadata = imageModel("metadata_segmentation")
    val tensors = metadata["output"].asJsonObject["tensors"].asJsonArray
    tensors[0].asJsonObject.add("shape", JsonParser.parseString("[3, $SIDE, $SIDE]"))
    return metadata
}

private fun described(
    task: String?,
    name: String,
    shape: String,
    axes: String,
    holds: String,
    unit: String? = null,
): JsonObject {
    val metadata = imageModel("metadata")
    metadata.addProperty("task", task)
    val words = axes.split(", ").joinToString { "\"$it\"" }
    val output = metadata["output"].asJsonObject
    output.add("labels", null)
    output.add(
        "tensors",
        JsonParser.parseString(
            """[{"name": "$name", "shape": [$shape], "dtype": "float32", "axes": [$words], "holds": "$holds",
                "space": "network"${unit?.let { ", \"unit\": \"$it\"" } ?: ""}}]""",
        ),
    )
    return metadata
}

private fun tensor(
    shape: List<Long>,
    vararg values: Float,
) = TensorValue.of(values, shape)

private fun row(vararg values: Float) = tensor(listOf(values.size.toLong()), *values)

/** Scores of three classes: the background, and two discs. */
private fun discs(): TensorValue {
    fun inside(
        place: Int,
        column: Int,
    ) = (place / SIDE - 16) * (place / SIDE - 16) + (place % SIDE - column) * (place % SIDE - column) < 60
    val scores =
        FloatArray(3 * SIDE * SIDE) {
            val place = it % (SIDE * SIDE)
            when (it / (SIDE * SIDE)) {
                0 -> 0.5f
                1 -> if (inside(place, 9)) 1f else 0f
                else -> if (inside(place, 24)) 2f else 0f
            }
        }
    return tensor(listOf(3, SIDE.toLong(), SIDE.toLong()), *scores)
}

private fun slope() = tensor(listOf(1, SIDE.toLong(), SIDE.toLong()), *FloatArray(SIDE * SIDE) { 1f + it % SIDE / 8f })

/** Three points, the last of them not sure. */
private fun points() = tensor(listOf(3, 3), 8f, 8f, 0.9f, 24f, 8f, 0.8f, 16f, 24f, 0.3f)

/** A picture whose red grows to the right and whose green grows downward. */
private fun wedge() =
    tensor(
        listOf(3, SIDE.toLong(), SIDE.toLong()),
        *FloatArray(3 * SIDE * SIDE) {
            val place = it % (SIDE * SIDE)
            listOf(place % SIDE, place / SIDE, 0)[it / (SIDE * SIDE)] / (SIDE - 1f)
        },
    )

/** Three boxes in the network's pixels, the last of them not sure. */
private fun boxes(): List<TensorValue> {
    val places = tensor(listOf(3, 4), 2f, 6f, 14f, 30f, 16f, 3f, 31f, 20f, 8f, 8f, 24f, 24f)
    val classes = TensorValue(Dtype.INT64, listOf(3), ByteArray(24) { if (it % 8 == 0) (it / 8).toByte() else 0 })
    return listOf(places, classes, row(0.92f, 0.61f, 0.34f))
}

/** The mean of each color: another photo, another direction. */
private fun means(image: TensorValue): TensorValue {
    val sums = FloatArray(3)
    image.bytes.forEachIndexed { index, byte -> sums[index % 3] += (byte.toInt() and 0xFF) / 255f }
    return row(*sums.map { it / (image.count / 3) }.toFloatArray())
}
